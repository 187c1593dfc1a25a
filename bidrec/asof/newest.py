"""The newest row of each key in a stretch of time: what Feast materializes, chosen as the as-of join chooses.

Reads   the Parquet files of one source
Writes  Arrow in memory

Equal event times are settled by `created` and then by the last row in the file, as in join.py: what is served online is
what training would have seen at the end of the stretch.
"""

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
import pyarrow as pa
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.saved_dataset import SavedDatasetStorage

from bidrec.asof.files import find, unchanged
from bidrec.asof.job import Limits, told
from bidrec.errors import InputMissing
from bidrec.operations import log
from bidrec.sql.words import literal, quoted

WRITING_TIME = "written_at"
"""Event time of a source that is stamped as it is written: while it is not, no stretch of time can miss a row of it."""

_ROW = "(file_index, file_row_number)"  # DuckDB's own columns
_HINT = "run bidrec train (features) or bidrec write-back (published), or name other views with -v"
_logger = log.get("asof")


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """What is asked of one source. Columns are named as in the file."""

    source: str
    """Its name, for messages."""
    path: str
    """A Parquet file or a pattern of several; absolute."""
    keys: Sequence[str]
    features: Sequence[str]
    event_time: str
    created: str | None = None
    start: datetime
    end: datetime
    """Both ends included; aware."""

    @property
    def columns(self) -> list[str]:
        """Those of the answer, each once."""
        created = [self.created] if self.created else []
        return [*dict.fromkeys([*self.keys, *self.features, self.event_time, *created])]

    def select(self, files: Sequence[str]) -> str:
        """(keys, features, event time, created): one row per key; rows with a NULL key or event time are left out.

        Of a source without keys it is one row in all, with the key that Feast looks it up by.
        """
        moment = f"{quoted(self.event_time)}::TIMESTAMPTZ"
        written = f"coalesce({quoted(self.created)}::TIMESTAMPTZ, '-infinity')" if self.created else "0"
        key = "" if self.keys else f", {literal(DUMMY_ENTITY_VAL)} AS {quoted(DUMMY_ENTITY_ID)}"
        grouped = f" GROUP BY {', '.join(map(quoted, self.keys))}" if self.keys else ""
        known = "".join(f" AND {quoted(key)} IS NOT NULL" for key in self.keys)
        rows = f"read_parquet([{', '.join(map(literal, files))}])"
        # Chosen by row number over narrow columns; the features, most of the bytes, are fetched once and never sorted.
        return (
            f"SELECT {', '.join(map(quoted, self.columns))}{key} FROM {rows} WHERE {_ROW} IN ("
            f"SELECT max_by({_ROW}, ({moment}, {written}, {_ROW})) FROM {rows} "
            f"WHERE {moment} BETWEEN {_moment(self.start)} AND {_moment(self.end)}{known}{grouped})"
        )


class NewestRetrievalJob(RetrievalJob):
    def __init__(self, stretch: Stretch, limits: Limits) -> None:
        self._stretch, self._limits = stretch, limits

    @property
    def full_feature_names(self) -> bool:
        return False

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        return []

    @property
    def metadata(self) -> RetrievalMetadata | None:
        return None

    def to_sql(self) -> str:
        return self._stretch.select([self._stretch.path])

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        """Without rows where the source is only to be written yet. Raises InputMissing (66) where it cannot be read,
        ContractError (65) where it lacks a column or its files differ in one's type, ConfigurationError (64) where
        memory_limit is too small, Interrupted (75) where a file changed meanwhile."""
        stretch = self._stretch
        if stretch.event_time == WRITING_TIME and not glob.glob(stretch.path):
            _logger.warning("nothing is written yet", source=stretch.source, path=stretch.path)
            columns = [*stretch.keys, *stretch.features, stretch.event_time]
            return pa.table({column: pa.nulls(0) for column in columns})
        try:
            with self._limits.connect() as connection:
                files = find(connection, stretch.source, stretch.path)
                files.refuse_missing(stretch.columns)
                files.refuse_changed_types(stretch.columns)
                with unchanged(files.names), told(stretch.source, files.names):
                    return _in_seconds(connection.execute(stretch.select(files.names)).to_arrow_table())
        except InputMissing as error:
            raise InputMissing(error.message, hint=_HINT) from error

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._to_arrow_internal(timeout).to_pandas()

    def persist(self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        raise NotImplementedError("what is materialized goes to the online store only")


def _in_seconds(table: pa.Table) -> pa.Table:
    """Lists of times as lists of whole seconds since 1970, as which Feast stores them. It takes both, but makes an
    object of each time, a third of what it costs to bring a list of a hundred online. Lists with a NULL stay as they
    are: of their seconds Feast would make NULLs, all of them."""
    for at, field in enumerate(table.schema):
        listed = pa.types.is_list(field.type) and pa.types.is_timestamp(field.type.value_type)
        if listed and not any(chunk.values.null_count for chunk in table[at].chunks):
            seconds = table[at].cast(pa.list_(pa.timestamp("s")), safe=False).cast(pa.list_(pa.int64()))
            table = table.set_column(at, field.name, seconds)
    return table


def _moment(time: datetime) -> str:
    return f"{literal(time.isoformat())}::TIMESTAMPTZ"
