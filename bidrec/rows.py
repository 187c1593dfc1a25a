"""The answer to a query as rows that pages, reports and JSON can take."""

from typing import Any

import duckdb


def dicts(result: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Each row of what was executed last, in order: column name -> value."""
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
