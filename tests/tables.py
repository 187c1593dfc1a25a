"""Canonical rows for tests: small, right, and easy to make wrong in one place."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow
from pyarrow import parquet

from bidrec import config
from bidrec.contract import TABLES
from bidrec.lake.parts import open_lake

Row = Mapping[str, Any]

NOW = datetime(2024, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def notice(number: int = 0, **changes: Any) -> dict[str, Any]:
    """A notice published `number` days into 2024, closing and opened ten days later."""
    published = datetime(2024, 1, 1, 9, tzinfo=UTC) + number * DAY
    row = {
        "notice_id": f"n{number}",
        "published_at": published,
        "closes_at": published + 10 * DAY,
        "opened_at": published + 10 * DAY,
        "title": f"Road {number}",
        "value": 1000.0,
        "attributes": ["form=open"],
    }
    return row | changes


def company(number: int = 0, **changes: Any) -> dict[str, Any]:
    row = {
        "company_id": f"c{number}",
        "known_at": datetime(2020, 1, 1, tzinfo=UTC),
        "region": "North",
        "employees": 5.0,
    }
    return row | changes


def bid(of: int = 0, by: int = 0, **changes: Any) -> dict[str, Any]:
    """A bid of company `by` on notice `of`, submitted a day before its opening."""
    opened = notice(of)["opened_at"]
    row = {
        "notice_id": f"n{of}",
        "company_id": f"c{by}",
        "event_at": opened - DAY,
        "known_at": opened,
        "amount": 900.0,
        "won": by == 0,
    }
    return row | changes


def arrow(rows: Sequence[Row]) -> pyarrow.Table:
    """The rows as a table; a column that only some rows have is NULL in the others."""
    names = dict.fromkeys(name for row in rows for name in row)
    return pyarrow.Table.from_pylist([{name: row.get(name) for name in names} for row in rows])


def give(connection: duckdb.DuckDBPyConnection, **tables: Sequence[Row] | pyarrow.Table) -> None:
    """Put the rows where a source's SELECTs would: given_notice, given_company, given_bid."""
    connection.execute("SET TimeZone = 'UTC'")
    for name, rows in tables.items():
        table = rows if isinstance(rows, pyarrow.Table) else arrow(rows)
        connection.register("rows", table)
        connection.execute(f"CREATE TABLE given_{name} AS SELECT * FROM rows")
        connection.unregister("rows")


def write_source(folder: Path, **tables: Sequence[Row]) -> config.Source:
    """A source whose raw tables are the canonical ones already: its three SELECTs are SELECT *."""
    folder.mkdir(parents=True, exist_ok=True)
    toml = 'zone = "UTC"\n'
    for name, rows in tables.items():
        table = arrow(rows)
        parquet.write_table(table, folder / f"{name}.parquet")
        kinds = {column.name: column.type for column in TABLES[name].columns} | {"reason": "VARCHAR"}
        columns = "".join(f'{column} = "{kinds.get(column, "VARCHAR")}"\n' for column in table.column_names)
        toml += f"[raw.{name}]\n[raw.{name}.columns]\n{columns}"
        (folder / f"{name}.sql").write_text(f"SELECT * FROM raw_{name}")
    (folder / "source.toml").write_text(toml)
    return config.Source(name=str(folder), path=str(folder), url="")


def lake(home: Path, view: str, columns: str = "*", rest: str = "") -> list[tuple[Any, ...]]:
    """Rows of one of the lake's views (bidrec.lake.parts), times in UTC."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        open_lake(connection, home / "lake")
        return connection.execute(f"SELECT {columns} FROM {view} {rest}").fetchall()
