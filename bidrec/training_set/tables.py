"""The feature tables as DuckDB relations, each in one order over all its segments, with rows and companies numbered.

Reads   features/{notice,company_profile,company_activity,bid_log}/*.parquet, as the views of the schema name them
Writes  nothing that stays: the tables in their order, below the home, as long as they are open
"""

import glob
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from bidrec.config import Config
from bidrec.errors import ContractError, InputMissing
from bidrec.features.schema import ENCODED, Field, Schema, View
from bidrec.operations import log
from bidrec.sql.watched import watched
from bidrec.sql.words import is_number, literal, quoted, types_of
from bidrec.sql.workspace import workspace
from bidrec.storage.intact import require_intact
from bidrec.storage.sealed import read_manifest
from bidrec.training_set.arrays import SIDES, seconds

ROW = "file_row_number"
_KEYS = {
    "notice": ("published_at", "notice_id"),
    "profile": ("company_id", "known_at"),
    "version": ("company_id", "known_at"),
}
"""Of each side; its rows are numbered in this order."""
_LOG_COLUMNS = ("company_id", "notice_id", "known_at")


@dataclass(frozen=True)
class FeatureTables:
    """Relations `notice`, `profile`, `activity`, `bid_log` (each with its row number) and `company` (id, row)."""

    connection: duckdb.DuckDBPyConnection
    fields: dict[str, list[Field]]
    """What the model reads of notice, profile and version, in the schema's order."""
    position: str
    """The version's field that says how many of its company's bids are known, in the order of the log."""
    manifest: dict[str, Any]
    """The features' manifest."""

    def integers(self, sql: str) -> tuple[npt.NDArray[np.int64], ...]:
        """The columns of a query as int64 arrays; NULL is refused."""
        with watched(self.connection, log.get("training_set"), "reading keys"):
            columns = self.connection.execute(sql).fetchnumpy()
        for name, values in columns.items():
            if np.ma.is_masked(values):
                raise ContractError(f"features: {name} is NULL in {int(np.ma.count_masked(values))} rows")
        return tuple(np.ma.getdata(values).astype(np.int64) for values in columns.values())

    def company_and_time(self, table: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Company row and known_at (seconds) of each row, sorted by both."""
        company, known_at = self.integers(
            f"SELECT c.company, {seconds('known_at')} AS known_at FROM {table} t "
            f"LEFT JOIN company c USING (company_id) ORDER BY t.{ROW}"
        )
        return company, known_at


SPILL = "spill"
"""Name of the workspace in the home."""


@contextmanager
def open_tables(config: Config, schema: Schema) -> Iterator[FeatureTables]:
    """Open the feature tables, spilling to the home instead of holding them in memory.

    Raises InputMissing where a table is not there, ContractError where it was changed since it was written, or lacks a
    column of the schema.
    """
    features = config.home_path / "features"
    if read_manifest(features) is None:
        raise InputMissing(f"no feature tables in {features}", hint="run: bidrec train")
    manifest = require_intact(features)
    views = views_of(schema)
    with workspace(config, SPILL) as (connection, spill):
        for name, view in views.items():
            relation, order = "activity" if name == "version" else name, ", ".join(_KEYS[name])
            given = _columns(connection, view.source, (*_KEYS[name], *(f.name for f in view.fields)))
            _refuse_types(given, view)
            _tell_unnamed(given, view)
            _relation(connection, relation, f"SELECT * FROM {_rows(view.source)} ORDER BY {order}", str(spill))
        log = features / "bid_log" / "*.parquet"
        _columns(connection, log, _LOG_COLUMNS)
        _relation(
            connection,
            "bid_log",
            f"SELECT log.company_id, log.notice_id, log.known_at, notice.{ROW} AS notice_row FROM {_rows(log)} AS log "
            "LEFT JOIN notice USING (notice_id) ORDER BY log.company_id, log.known_at, notice_row",
            str(spill),
        )
        connection.execute(
            "CREATE TEMP TABLE company AS "
            "SELECT company_id, (row_number() OVER (ORDER BY company_id) - 1)::INTEGER AS company "
            "FROM (SELECT company_id FROM bid_log UNION SELECT company_id FROM profile) ORDER BY company_id"
        )
        fields = {name: [f for f in view.fields if f.read in ENCODED] for name, view in views.items()}
        (position,) = (f.name for f in views["version"].fields if f.read == "position")
        yield FeatureTables(connection, fields, position, manifest)


def views_of(schema: Schema) -> dict[str, View]:
    """The schema's views by side: the one of notices; of companies, the one with a position in the log is `version`."""
    found: dict[str, View] = {}
    for view in schema.views:
        positions = [f.name for f in view.fields if f.read == "position"]
        if len(positions) > 1:
            raise ContractError(f"{view.name} has more than one position in the log: {', '.join(positions)}")
        side = "notice" if view.side == "notice" else "version" if positions else "profile"
        if side in found:
            raise ContractError(
                f"the service {schema.service} has two {side} views, {found[side].name} and {view.name}",
                hint="put the fields into one feature table and view",
            )
        found[side] = view
    missing = [side for side in SIDES if side not in found]
    if missing:
        raise ContractError(f"the service {schema.service} has no {' and no '.join(missing)} view")
    return {side: found[side] for side in SIDES}


def _rows(pattern: Path) -> str:
    return f"read_parquet({literal(str(pattern))})"


def _columns(connection: duckdb.DuckDBPyConnection, pattern: Path, needed: tuple[str, ...]) -> dict[str, str]:
    """Column -> type of the files; InputMissing where there are none, ContractError where they lack what is needed."""
    table = pattern.parent.name
    if not glob.glob(str(pattern)):
        raise InputMissing(
            f"no feature table {pattern.parent}",
            hint="delete features/ in the home; the next bidrec train makes it again",
        )
    given = types_of(connection, f"(SELECT * FROM {_rows(pattern)})")
    missing = [column for column in needed if column not in given]
    if missing:
        raise ContractError(
            f"{table} has no column {', '.join(missing)}, which the feature service reads",
            hint="take the field out of the feature view, or delete features/ in the home and train again",
        )
    return given


def _relation(connection: duckdb.DuckDBPyConnection, name: str, ordered: str, folder: str) -> None:
    """Make the view `name` of a query's rows in their order, which `file_row_number` numbers."""
    file = literal(f"{folder}/{name}.parquet")
    with watched(connection, log.get("training_set"), f"sorting {name}"):
        connection.execute(f"COPY ({ordered}) TO {file} (FORMAT parquet)")
    connection.execute(f"CREATE TEMP VIEW {quoted(name)} AS SELECT * FROM read_parquet({file}, {ROW} = true)")


def _refuse_types(given: dict[str, str], view: View) -> None:
    """Raise ContractError (65) naming every field whose tag says to read it as something its column is not."""
    wrong = [
        f"{f.name} is {given[f.name]}, which cannot be read as {f.read}"
        for f in view.fields
        if f.read in ENCODED and not _readable(given[f.name], f.read)
    ]
    if wrong:
        raise ContractError(
            f"{view.source.parent.name}: {'; '.join(wrong)}", hint="correct the tag `read` or the column"
        )


def _tell_unnamed(given: dict[str, str], view: View) -> None:
    """Who has added a column to a source's SQL, and no field to the view, would look for its effect in vain."""
    columns = sorted(given.keys() - {view.key, view.event_time, *(field.name for field in view.fields)})
    if columns:
        log.get("training_set").info("nobody reads columns that no field names", view=view.name, columns=columns)


def _readable(given: str, read: str) -> bool:
    item, is_list = given.removesuffix("[]"), given.endswith("[]")
    numeric = is_number(item) or item == "BOOLEAN"
    return {
        "dense": numeric and not is_list,
        "vector": numeric and is_list,
        "categorical": not is_list,
        "bag": is_list,
        "text": given == "VARCHAR",
        "age": given.startswith(("TIMESTAMP", "DATE")) and not is_list,
    }[read]
