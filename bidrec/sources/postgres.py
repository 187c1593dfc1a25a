"""Raw tables from PostgreSQL, through ADBC: Arrow batches streamed into Parquet, never a whole table in memory.

Reads   the declared columns of the raw tables, in one repeatable-read transaction: bids and notices agree; at first
        whole, later the rows that may have changed (`changes.py`)
Writes  STAGING/<raw table>.parquet

ADBC rather than DuckDB's postgres extension: it is the Apache project's own, and needs no binary that DuckDB would
download. A password never gets into a message.
"""

import re
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from bidrec.casting import first_line, literal, quoted
from bidrec.errors import ConfigurationError, DependencyDown, InputMissing
from bidrec.sources.changes import changed_rows
from bidrec.sources.definition import Definition, RawTable
from bidrec.sources.raw import match_columns

_CONNECT_SECONDS = 10
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
    from adbc_driver_manager import Error
    from adbc_driver_postgresql import dbapi

    where = describe(url)
    options = "" if "connect_timeout=" in url else f"{'&' if '?' in url else '?'}connect_timeout={_CONNECT_SECONDS}"
    try:
        with dbapi.connect(url + options, autocommit=False) as connection, connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute("SET client_encoding TO 'UTF8'")  # Arrow's text is UTF-8; the database may be EUC_KR
            types = {raw.name: _types(cursor, schema, raw, where) for raw in definition.raw}
            chosen = changed_rows(definition, schema, types, since) if since else {}
            return {
                raw.name: _copy(cursor, schema, raw, types[raw.name], chosen.get(raw.name, ""), staging)
                for raw in definition.raw
            }
    except Error as error:
        # Not `from error`: its text may hold the address, and a traceback would print it.
        raise DependencyDown(
            f"PostgreSQL at {where} cannot be read: {scrub(first_line(error), url)}",
            hint="check BIDREC_SOURCE_URL, the server and the user's rights",
        ) from None


def describe(url: str) -> str:
    """host:port/database of the address: what may be said about it. Raises ConfigurationError (64)."""
    try:
        parts = urlsplit(url)
        port = parts.port or 5432
    except ValueError:
        parts, port = urlsplit(""), 0
    # A '#', '?' or '/' in the password would move its rest to where it would be shown.
    if parts.scheme not in ("postgresql", "postgres") or "@" in parts.path + parts.fragment:
        raise ConfigurationError(
            "source.url is not an address such as postgresql://user@host:5432/database",
            hint="write special characters of the password as %XX",
        )
    host = parts.hostname or parse_qs(parts.query).get("host", ["localhost"])[0]
    return f"{host}:{port}{parts.path}"


def scrub(message: str, url: str) -> str:
    """The driver's message without the password, as it is written in the address or decoded."""
    parts = urlsplit(url)
    given = [parts.password or "", *parse_qs(parts.query).get("password", [])]
    secrets = {form for secret in given if secret for form in (secret, unquote(secret))}
    message = message.replace(url, describe(url))
    for secret in sorted(secrets, key=len, reverse=True):
        message = message.replace(secret, "***")
    return message


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
