"""Small lakes for tests: canonical rows written as the ingest writes them, every canonical column there."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow
from pyarrow import parquet

from bidrec.contract import TABLES, Table
from bidrec.storage import write_manifest
from tests.tables import Row

_TYPES = {
    "VARCHAR": pyarrow.string(),
    "DOUBLE": pyarrow.float64(),
    "INTEGER": pyarrow.int32(),
    "BOOLEAN": pyarrow.bool_(),
    "TIMESTAMPTZ": pyarrow.timestamp("us", "UTC"),
    "VARCHAR[]": pyarrow.list_(pyarrow.string()),
}


def write_lake(home: Path, notice: Sequence[Row], company: Sequence[Row] = (), bid: Sequence[Row] = ()) -> None:
    lake = home / "lake"
    lake.mkdir(parents=True, exist_ok=True)
    for name, rows in {"notice": notice, "company": company, "bid": bid}.items():
        parquet.write_table(_table(TABLES[name], rows), lake / f"{name}.parquet")
    write_manifest(lake, kind="lake")


def read(home: Path, table: str, order: str = "") -> list[dict[str, Any]]:
    """The rows of a feature table, in the file's order, times in UTC."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        relation = connection.execute(f"SELECT * FROM read_parquet('{home / 'features' / table}.parquet') {order}")
        names = [column[0] for column in relation.description]
        return [dict(zip(names, row, strict=True)) for row in relation.fetchall()]


def _table(table: Table, rows: Sequence[Row]) -> pyarrow.Table:
    canonical = {column.name: _TYPES[column.type] for column in table.columns}
    extra = dict.fromkeys(name for row in rows for name in row if name not in canonical)
    rows = sorted(rows, key=lambda row: tuple(row[name] for name in table.order))
    columns = {name: pyarrow.array([row.get(name) for row in rows], kind) for name, kind in canonical.items()}
    columns |= {name: pyarrow.array([row.get(name) for row in rows]) for name in extra}
    return pyarrow.table(columns)
