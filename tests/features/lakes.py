"""Small lakes for tests: canonical rows written as the ingest writes them, every canonical column there."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow
from pyarrow import parquet

from bidrec.contract import TABLES, Table
from bidrec.lake.parts import add_parts, part_file
from bidrec.storage.sealed import read_manifest
from tests.tables import Row

_TYPES = {
    "VARCHAR": pyarrow.string(),
    "DOUBLE": pyarrow.float64(),
    "INTEGER": pyarrow.int32(),
    "BOOLEAN": pyarrow.bool_(),
    "TIMESTAMPTZ": pyarrow.timestamp("us", "UTC"),
    "VARCHAR[]": pyarrow.list_(pyarrow.string()),
}


def write_lake(
    home: Path, notice: Sequence[Row], company: Sequence[Row] = (), bid: Sequence[Row] = (), **facts: Any
) -> None:
    """A lake of one part, whatever there was before. facts: of the manifest (read_at)."""
    _add_part(home, 1, {"notice": notice, "company": company, "bid": bid}, None, facts)


def add_part(home: Path, facts: Mapping[str, Any] | None = None, **tables: Sequence[Row]) -> None:
    """What a later ingest appends; the rows of a notice say when they were known (known_at)."""
    before = read_manifest(home / "lake")
    assert before is not None
    _add_part(home, before["ingest"] + 1, tables, before, facts or {})


def _add_part(
    home: Path,
    number: int,
    tables: Mapping[str, Sequence[Row]],
    before: dict[str, Any] | None,
    facts: Mapping[str, Any],
) -> None:
    for name, rows in tables.items():
        file = home / "staging" / part_file(name, number)
        file.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(_table(TABLES[name], rows), file)
    counts = {name: len(rows) for name, rows in tables.items()}
    facts = {"tables": {name: {"range": _ranges(name, rows, before)} for name, rows in tables.items()}, **facts}
    add_parts(home / "lake", home / "staging", number, counts, before, **facts)
    shutil.rmtree(home / "staging", ignore_errors=True)


def _ranges(table: str, rows: Sequence[Row], before: dict[str, Any] | None) -> dict[str, list[str | None]]:
    """First and last known_at and decided_at of the table, as the ingest's manifest says them."""
    told = before["tables"].get(table, {"range": {}})["range"] if before else {}
    times = {
        "known_at": [row.get("known_at", row.get("published_at")) for row in rows],
        "decided_at": [row.get("decided_at") for row in rows],
    }
    ranges = {}
    for name, found in times.items():
        ends = [end for end in (*(time.isoformat() for time in found if time), *told.get(name, [])) if end]
        ranges[name] = [min(ends, default=None), max(ends, default=None)]
    return ranges


def read(home: Path, table: str, order: str = "") -> list[dict[str, Any]]:
    """The rows of a feature table, segment after segment in the order of each, times in UTC."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        relation = connection.execute(f"SELECT * FROM read_parquet('{home / 'features' / table}/*.parquet') {order}")
        names = [column[0] for column in relation.description]
        return [dict(zip(names, row, strict=True)) for row in relation.fetchall()]


def _table(table: Table, rows: Sequence[Row]) -> pyarrow.Table:
    canonical = {column.name: _TYPES[column.type] for column in table.columns}
    extra = dict.fromkeys(name for row in rows for name in row if name not in canonical)
    rows = sorted(rows, key=lambda row: tuple(row[name] for name in table.order))
    columns = {name: pyarrow.array([row.get(name) for row in rows], kind) for name, kind in canonical.items()}
    columns |= {name: pyarrow.array([row.get(name) for row in rows]) for name in extra}
    if table.name == "notice" and "known_at" not in columns:
        columns["known_at"] = columns["published_at"]
    return pyarrow.table(columns)
