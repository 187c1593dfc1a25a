"""Raw tables from PostgreSQL, through ADBC: Arrow batches streamed into Parquet, never a whole table in memory.

Reads   the declared columns of the raw tables, in one repeatable-read transaction: bids and notices agree; at first
        whole, later the rows that may have changed (`changes.py`)
Writes  STAGING/<raw table>.parquet
"""

import re
from datetime import datetime
from pathlib import Path
from typing import Any

from bidrec.casting import literal, quoted
from bidrec.database import connected, describe
from bidrec.errors import InputMissing
from bidrec.sources.changes import changed_rows
from bidrec.sources.definition import Definition, RawTable
from bidrec.sources.raw import match_columns

_BATCH_BYTES = 16 << 20
_NATIVE = re.compile(r"bool|int[248]|float[48]|text|varchar|date|time|timestamp|timestamptz")
"""PostgreSQL types that come over as they are; any other (numeric, char(1), enums) is asked for as text."""


def fetch(
    url: str, schema: str, definition: Definition, staging: Path, since: datetime | None = None
) -> dict[str, str]:
    """Copy the tables' declared columns; returns raw table's name -> SQL for its rows.

    since (UTC): of the tables that have a watermark, only the rows that may have changed from then on, and those that
    are to be read together with them.
    Raises DependencyDown (69) where the server cannot be reached, refuses, or goes away; InputMissing (66) on a
    missing table; ContractError (65) on a missing column; ConfigurationError (64) on an address of another kind.
    """
    where = describe(url)
    with connected(url, variable="BIDREC_SOURCE_URL") as (_, cursor):
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.execute("SET client_encoding TO 'UTF8'")  # Arrow's text is UTF-8; the database may be EUC_KR
        types = {raw.name: _types(cursor, schema, raw, where) for raw in definition.raw}
        chosen = changed_rows(definition, schema, types, since) if since else {}
        return {
            raw.name: _copy(cursor, schema, raw, types[raw.name], chosen.get(raw.name, ""), staging)
            for raw in definition.raw
        }


def reached(url: str, schema: str, definition: Definition) -> str:
    """Which tables there are and have the declared columns, in words. Raises as `fetch` does."""
    where = describe(url)
    with connected(url, variable="BIDREC_SOURCE_URL") as (_, cursor):
        for raw in definition.raw:
            match_columns(raw, list(_types(cursor, schema, raw, where)))
    return f"{where} has {', '.join(raw.table for raw in definition.raw)}"


def _copy(cursor: Any, schema: str, raw: RawTable, types: dict[str, str], chosen: str, staging: Path) -> str:
    """Copy the rows for which the condition `chosen` holds ('': all of them)."""
    from pyarrow import parquet

    columns = ", ".join(
        quoted(name) if _NATIVE.fullmatch(types[name]) else f"{quoted(name)}::text AS {quoted(name)}"
        for name in match_columns(raw, list(types)).values()
    )
    cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)})
    cursor.execute(f"SELECT {columns} FROM {quoted(schema)}.{quoted(raw.table)}{chosen and f' WHERE {chosen}'}")
    target = staging / f"raw_{raw.name}.parquet"
    batches = cursor.fetch_record_batch()
    with parquet.ParquetWriter(target, batches.schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
    return f"read_parquet({literal(str(target))})"


def _types(cursor: Any, schema: str, raw: RawTable, where: str) -> dict[str, str]:
    """Column -> PostgreSQL type name, in the table's order."""
    cursor.execute(
        "SELECT a.attname::text, t.typname::text FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid "
        "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        (schema, raw.table),
    )
    types = dict(cursor.fetchall())
    if not types:
        raise InputMissing(
            f"no table {schema}.{raw.table} in {where}", hint="set source.schema, or table in source.toml"
        )
    return types
