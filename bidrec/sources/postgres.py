"""Raw tables from PostgreSQL, through ADBC: Arrow batches streamed into Parquet, never a whole table in memory.

Reads   the declared columns of the raw tables, in one repeatable-read transaction: bids and notices agree; at first
        whole, later the rows that may have changed (`changes.py`). Nobody may empty or alter them meanwhile.
Writes  STAGING/<raw table>.parquet

A connection that is lost is begun anew, with the whole reading.
"""

import re
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from bidrec import log
from bidrec.database import connected, describe, with_options
from bidrec.errors import DependencyDown, InputMissing
from bidrec.passwords import masked
from bidrec.sources.changes import changed_rows
from bidrec.sources.definition import Definition, RawTable
from bidrec.sources.raw import match_columns
from bidrec.sql import first_line, literal, quoted

_PAUSES = (1.0, 5.0, 15.0)
"""Seconds before each further attempt."""
_PASSING = re.compile(r"08|40|53|57P|42P01|42703|0A000|XX000")
"""SQLSTATEs that another attempt may not meet: a lost connection, a conflict, a server that has no room or restarts,
and what a table that was altered meanwhile gives."""
_BATCH_BYTES = 16 << 20
_logger = log.get("ingest")
_NATIVE = re.compile(r"bool|int[248]|float[48]|text|varchar|date|time|timestamp|timestamptz")
"""PostgreSQL types that come over as they are; any other (numeric, char(1), enums) is asked for as text."""


def fetch(
    url: str, schema: str, definition: Definition, staging: Path, since: datetime | None = None
) -> dict[str, str]:
    """Copy the tables' declared columns; returns raw table's name -> SQL for its rows.

    since (UTC): of the tables that have a watermark, only the rows that may have changed from then on, and those that
    are to be read together with them.
    A reading that was cut off is made again as a whole, three times at most, a little later each time.
    Raises DependencyDown (69) where the server cannot be reached, refuses, or goes away for longer; InputMissing (66)
    on a missing table; ContractError (65) on a missing column; ConfigurationError (64) on an address of another kind.
    """
    server = _Server(url)
    pauses = iter(_PAUSES)
    while True:
        try:
            return _read(server, schema, definition, staging, since)
        except server.errors as error:
            # Not `from error`: its text may hold the address, and a traceback would print it.
            said = masked(first_line(error), url)
            pause = next(pauses, None) if server.may_recover(error) else None
            if pause is None:
                raise DependencyDown(
                    f"PostgreSQL at {server.name} cannot be read: {said}",
                    hint="check BIDREC_SOURCE_URL, the server and the user's rights",
                ) from None
        _logger.warning("the reading was cut off; it is made again", server=server.name, said=said, in_seconds=pause)
        time.sleep(pause)


class _CutOff(Exception):
    """The server, or the way to it, failed in the middle of a table."""


class _Server:
    """Where the tables are, and which of its errors another attempt may not meet."""

    def __init__(self, url: str) -> None:
        from adbc_driver_manager import Error

        self.name = describe(url)
        self.address = with_options(url)
        self.errors = (Error, _CutOff)
        self.was_there = False

    def may_recover(self, error: Exception) -> bool:
        """Who could not connect at all is not made to wait: the scheduler tries again later."""
        state = getattr(error, "sqlstate", None) or _sqlstate(str(error))
        return self.was_there and (state is None or bool(_PASSING.match(state)))


def _sqlstate(text: str) -> str | None:
    """Of an error in the middle of a table the driver says no SQLSTATE: a statement that took too long is one."""
    found = re.search(r"SQLSTATE: (\w{5})", text)
    return found[1] if found else "57014" if "canceling statement" in text and "recovery" not in text else None


def _read(
    server: _Server, schema: str, definition: Definition, staging: Path, since: datetime | None
) -> dict[str, str]:
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(server.address, autocommit=False) as connection, connection.cursor() as cursor:
        server.was_there = True
        lockable = _lockable(cursor, schema, definition)
        connection.commit()
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # Before the first SELECT, which takes the snapshot: a table that is emptied or rewritten after that would be
        # empty in the snapshot. Who loads the tables that way waits for us, as it does for pg_dump.
        if lockable:
            cursor.execute(f"LOCK TABLE {', '.join(lockable)} IN ACCESS SHARE MODE")
        cursor.execute("SET client_encoding TO 'UTF8'")  # Arrow's text is UTF-8; the database may be EUC_KR
        types = {raw.name: _types(cursor, schema, raw, server.name) for raw in definition.raw}
        chosen = changed_rows(definition, schema, types, since) if since else {}
        return {
            raw.name: _copy(cursor, schema, raw, types[raw.name], chosen.get(raw.name, ""), staging)
            for raw in definition.raw
        }


def _lockable(cursor: Any, schema: str, definition: Definition) -> list[str]:
    """The raw tables that are tables or views: what else there is (foreign, materialized) cannot be locked."""
    wanted = {raw.table for raw in definition.raw}
    cursor.execute(
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = $1 AND c.relkind::text IN ('r', 'p', 'v') ORDER BY 1",
        (schema,),
    )
    return [f"{quoted(schema)}.{quoted(name)}" for (name,) in cursor.fetchall() if name in wanted]


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
    reader = cursor.fetch_record_batch()
    with parquet.ParquetWriter(target, reader.schema, compression="zstd") as writer:
        for batch in _batches(reader):
            writer.write_batch(batch)
    return f"read_parquet({literal(str(target))})"


def _batches(reader: Any) -> Iterator[Any]:
    """The batches. Arrow makes an OSError of what PostgreSQL says in between, which is no refusal of our disk."""
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except Exception as error:
            raise _CutOff(str(error)) from None
        yield batch


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
