"""Feast's handle on one as-of question: nothing is read until an answer is asked for.

Reads   the entity rows it was given, the files of its views
Writes  Arrow and pandas in memory; Parquet whole or not at all, without the table ever being in memory as a whole
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from uuid import uuid4

import duckdb
import ibis
import pandas as pd
import pyarrow as pa
from feast.data_format import ParquetFormat
from feast.data_source import DataSource
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.duckdb import _write_data_source
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.saved_dataset import SavedDatasetStorage
from pyarrow import parquet

from bidrec.asof import gather
from bidrec.asof.files import is_readable, unchanged
from bidrec.asof.join import ASKED, View, select
from bidrec.errors import CannotWrite, ConfigurationError, ContractError, InputMissing
from bidrec.sql.words import first_line, is_number, literal, quoted, types_of
from bidrec.sql.workspace import looking
from bidrec.storage.whole import whole_file, writing


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What DuckDB may use; None leaves its default."""

    memory_limit: str | None = None
    threads: int | None = None
    temp_directory: str | None = None
    part: int | None = None
    """Bytes of a question that is joined at once; by default two fifths of memory_limit."""

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with looking() as connection:
            connection.execute("SET preserve_insertion_order = false")
            if self.memory_limit:
                connection.execute(f"SET memory_limit = {literal(self.memory_limit)}")
            if self.threads:
                connection.execute(f"SET threads = {int(self.threads)}")
            if self.temp_directory:
                connection.execute(f"SET temp_directory = {literal(self.temp_directory)}")
            yield connection


@dataclass(frozen=True)
class Question:
    """Entity rows and the views asked about; the connection lives as long as one answer."""

    entity_rows: pd.DataFrame | str
    columns: list[str]
    as_of: str
    views: list[View]
    limits: Limits

    @property
    def sql(self) -> str:
        """Over the relation `asked`, which holds the entity rows."""
        return select(self.columns, self.as_of, self.views, self._untyped)

    def answer(self) -> Iterator[pa.Table]:
        """The answer in pieces, at least one; see bidrec.asof.gather.

        What fails in it is told as one of bidrec's errors. Rows are found in one reading of the files and taken by
        their number from another, so files that changed meanwhile make the answer void: Interrupted (75), at the end.
        """
        files = {file for view in self.views for file in view.files}
        with unchanged(files), told("as-of join", files), self.limits.connect() as connection:
            room = self.limits.part or _divide_memory(connection)
            untyped = self._ask(connection)
            self._refuse_types(types_of(connection, quoted(ASKED)))
            for piece in gather.answer(connection, self.columns, self.as_of, self.views, self._untyped, room):
                yield _as_given(piece, untyped)

    def _ask(self, connection: duckdb.DuckDBPyConnection) -> list[int]:
        """Write the entity rows into a table of DuckDB's, which can spill and whose size is known.

        Returns the places of the columns that have no type, being NULL in every row; DuckDB gives them one.
        """
        if isinstance(self.entity_rows, str):
            connection.execute(f"CREATE TEMP TABLE {quoted(ASKED)} AS SELECT * FROM ({self.entity_rows})")
            return []
        try:
            # As Arrow: of a pandas column of objects DuckDB would guess the type from a sample.
            rows = pa.Table.from_pandas(self.entity_rows, preserve_index=False)
        except pa.ArrowException as error:
            raise ContractError(f"entity rows: {' '.join(map(str, error.args))}", hint="one type a column") from error
        connection.register("entity_rows", rows)
        connection.execute(f"CREATE TEMP TABLE {quoted(ASKED)} AS SELECT * FROM entity_rows")
        connection.unregister("entity_rows")
        return [place for place, kind in enumerate(rows.schema.types) if pa.types.is_null(kind)]

    def _refuse_types(self, given: dict[str, str]) -> None:
        """Raise ContractError (65) where text would be compared with numbers, say: '007' is not 7."""
        for view in self.views:
            for column, kind in view.key_types.items():
                if column not in self._untyped and _family(given[column]) != _family(kind):
                    raise ContractError(
                        f"entity rows: {column} is {given[column]}, but {kind} in {view.files[0]}",
                        hint="give the keys the type they have in the view",
                    )

    @cached_property
    def _untyped(self) -> dict[str, str]:
        """A key that is NULL in every row has no type, and DuckDB compares nothing with it."""
        if isinstance(self.entity_rows, str):
            return {}
        types = {column: kind for view in self.views for column, kind in view.key_types.items()}
        return {column: kind for column, kind in types.items() if self.entity_rows[column].isna().all()}


class AsofRetrievalJob(RetrievalJob):
    def __init__(
        self,
        question: Question,
        on_demand_feature_views: list[OnDemandFeatureView],
        full_feature_names: bool,
        metadata: RetrievalMetadata,
        repo_path: Path | None,
    ) -> None:
        self._question = question
        self._on_demand_feature_views = on_demand_feature_views
        self._full_feature_names = full_feature_names
        self._metadata = metadata
        self._repo_path = repo_path

    @property
    def full_feature_names(self) -> bool:
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        return self._on_demand_feature_views

    @property
    def metadata(self) -> RetrievalMetadata:
        return self._metadata

    def to_sql(self) -> str:
        """The SELECT over `asked`, the entity rows; on-demand views come after it."""
        return self._question.sql

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return pa.concat_tables(self._question.answer())

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._to_arrow_internal(timeout).to_pandas()

    def to_parquet(self, path: str | Path) -> None:
        """Write the answer to a Parquet file (snappy, as Feast does), which appears, or is replaced, as a whole.

        Views on demand need the whole answer in memory; without them it is streamed.
        """
        pieces = iter([self.to_arrow()]) if self._on_demand_feature_views else self._question.answer()
        with whole_file(Path(path)) as partial, writing(Path(path)):
            first = next(pieces)
            with parquet.ParquetWriter(partial, first.schema, compression="snappy") as writer:
                for piece in chain([first], pieces):
                    writer.write_table(piece)

    def persist(self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Write a saved dataset; features on demand are part of it. Local Parquet is streamed, into one file.

        Of a folder that may be overwritten, the Parquet files that were there are deleted afterwards.
        """
        source = storage.to_data_source()
        if not is_plain_parquet(source):
            table = ibis.memtable(self.to_arrow())
            _write_data_source(table, source, str(self._repo_path), "overwrite", allow_overwrite)
            return
        path = Path(path_of(self._repo_path, source))
        if path.exists() and not allow_overwrite:
            raise SavedDatasetLocationAlreadyExists(location=source.path)
        if path.suffix == ".parquet":
            self.to_parquet(path)
            return
        earlier = list(path.glob("*.parquet"))
        self.to_parquet(path / f"{uuid4().hex}.parquet")
        for file in earlier:
            file.unlink()


def _as_given(piece: pa.Table, untyped: list[int]) -> pa.Table:
    """With the columns of the entity rows that have no type without one again."""
    for place in untyped:
        piece = piece.set_column(place, piece.column_names[place], pa.nulls(len(piece)))
    return piece


@contextmanager
def told(of: str, files: Collection[str]) -> Iterator[None]:
    """Turn what DuckDB refuses on the way to an answer into one of bidrec's errors. of: what is asked, for messages."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise ConfigurationError(
            f"{of}: {first_line(error)}", hint="raise memory_limit, or make room in temp_directory"
        ) from error
    except duckdb.ConversionException as error:
        raise ContractError(f"{of}: {first_line(error)}", hint="see the types of the views' columns") from error
    except duckdb.Error as error:
        unread = next((file for file in files if file in str(error) or not is_readable(file)), None)
        if unread:
            raise InputMissing(f"{of}: cannot read {unread}: {first_line(error)}") from error
        if isinstance(error, duckdb.IOException):
            raise CannotWrite(f"{of}: {first_line(error)}", hint="check space and permission") from error
        raise


def is_plain_parquet(source: DataSource) -> bool:
    """Whether these are Parquet files of this machine: no other format, and no address of a store of objects."""
    if not isinstance(source, FileSource):
        return False
    return isinstance(source.file_format, ParquetFormat | None) and "://" not in source.path.removeprefix("file://")


def path_of(repo_path: str | Path | None, source: FileSource) -> str:
    """Where the source's files lie; a relative path is from the Feast repository."""
    return str(FileSource.get_uri_for_file_path(repo_path, source.path)).removeprefix("file://")


def _divide_memory(connection: duckdb.DuckDBPyConnection) -> int:
    """Leave DuckDB three quarters of the limit; the rest is for what it does not count: rows held, batches, a file's
    buffers. Returns the bytes of a part: two fifths, so that it is joined without spilling."""
    limit = connection.execute("SELECT parse_formatted_bytes(current_setting('memory_limit'))").fetchall()[0][0]
    connection.execute(f"SET memory_limit = '{limit * 3 // 4}B'")
    return int(limit * 2 // 5)


def _family(kind: str) -> str:
    """Of a DuckDB type, those whose values can be equal; numbers and times of all widths are."""
    if is_number(kind):
        return "number"
    name = kind.partition("(")[0].partition(" ")[0]
    if name.startswith("TIMESTAMP") or name == "DATE":
        return "time"
    return "VARCHAR" if name == "ENUM" else name
