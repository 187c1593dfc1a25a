"""How far Feast is while it brings views online: it writes a batch at a time, and says nothing of it.

Reads   the keys in the views' Parquet files
"""

import glob
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import duckdb

from bidrec.operations import log
from bidrec.sql.words import quoted
from bidrec.sql.workspace import looking

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView
    from feast.infra.online_stores.online_store import OnlineStore

_logger = log.get("feast")


def tell(store: "FeatureStore", views: "Sequence[FeatureView]") -> None:
    """From here on `store` logs how many rows it has brought online, one a key, of the keys in the views' files.

    A store whose engine writes in other processes, as Spark's does, logs nothing.
    """
    online: OnlineStore = store.provider.online_store
    told = _Told(online.online_write_batch, sum(_keys(view) for view in views))
    # Feast's engine takes a progress hook and passes none on: what it calls for each batch is the only place to count.
    online.online_write_batch = told  # type: ignore[method-assign]


class _Told:
    def __init__(self, write: Callable[..., None], whole: int) -> None:
        self.write, self.whole, self.done = write, whole, 0

    def __call__(self, config: Any, table: "FeatureView", data: Sequence[Any], progress: Any) -> None:
        self.write(config, table, data, progress)
        self.done += len(data)
        _logger.info("bringing online", done=f"{self.done}/{max(self.whole, self.done)}", view=table.name)


def _keys(view: "FeatureView") -> int:
    """In the view's files; 0 where it has none here, or a damaged one, which whoever reads its rows will name."""
    keys = ", ".join(quoted(column.name) for column in view.entity_columns)
    try:
        files = glob.glob(getattr(view.batch_source, "path", None) or "")
        with looking() as connection:
            counted = f"SELECT count(*) FROM (SELECT DISTINCT {keys} FROM read_parquet($files))"
            return int(connection.execute(counted, {"files": files}).fetchall()[0][0]) if files else 0
    except (OSError, duckdb.Error):
        return 0
