"""How far Feast is while it brings views online: it writes a batch at a time, and says nothing of it.

Reads   the footers of the views' Parquet files
"""

import glob
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from bidrec.operations import log

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView
    from feast.infra.online_stores.online_store import OnlineStore

_logger = log.get("feast")


def tell(store: "FeatureStore", views: "Sequence[FeatureView]") -> None:
    """From here on `store` logs how many rows it has brought online, of those that the views' files hold.

    These are one a key for what is published, where nearly all rows are; of a table of versions they are at most so
    many. A store whose engine writes in other processes, as Spark's does, logs nothing.
    """
    online: OnlineStore = store.provider.online_store
    told = _Told(online.online_write_batch, sum(_rows(view) for view in views))
    # Feast's engine takes a progress hook and passes none on: what it calls for each batch is the only place to count.
    online.online_write_batch = told  # type: ignore[method-assign]


class _Told:
    def __init__(self, write: Callable[..., None], whole: int) -> None:
        self.write, self.whole, self.done = write, whole, 0

    def __call__(self, config: Any, table: "FeatureView", data: Sequence[Any], progress: Any) -> None:
        self.write(config, table, data, progress)
        self.done += len(data)
        _logger.info("bringing online", done=f"{self.done}/{max(self.whole, self.done)}", view=table.name)


def _rows(view: "FeatureView") -> int:
    """In the view's files; 0 where it has none here, or a damaged one, which whoever reads its rows will name."""
    try:
        files = glob.glob(getattr(view.batch_source, "path", None) or "")
        return sum(pq.read_metadata(file).num_rows for file in files)
    except (OSError, pa.ArrowException):
        return 0
