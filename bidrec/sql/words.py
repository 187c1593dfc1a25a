"""Names, values and types in DuckDB's SQL, its answers as rows, and what it says when it refuses.

Serves  whatever puts SQL together
"""

from typing import Any

import duckdb

INTEGERS = {f"{sign}{size}" for sign in ("", "U") for size in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")}
"""DuckDB's types of whole numbers."""
NO_FILE_CACHE = "SET enable_external_file_cache = false"
"""For a connection that reads local files: DuckDB would keep some 200 kB of each, however small it is, and the system
has them in memory anyway."""


def types_of(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    """Column name -> DuckDB type, in order."""
    described = connection.execute(f"DESCRIBE {relation}").fetchall()
    return {name: kind.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ") for name, kind, *_ in described}


def dicts(result: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Each row of what was executed last, in order: column name -> value."""
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def is_number(kind: str) -> bool:
    """Whether the type is of numbers, of whatever width."""
    return kind in INTEGERS or kind in ("FLOAT", "DOUBLE") or (kind.startswith("DECIMAL(") and kind.endswith(")"))


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
