"""Raw tables from PostgreSQL, through ADBC: Arrow batches streamed into Parquet, never a whole table in memory.

Reads   the declared columns of the raw tables, in one repeatable-read transaction: bids and notices agree; at first
        whole, later the rows that may have changed (`changes.py`). Nobody may empty or alter them meanwhile.
Writes  STAGING/<raw table>.parquet

A connection that is lost is begun anew, with the whole reading.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from bidrec.errors import DependencyDown, InputMissing
from bidrec.operations import log
from bidrec.sources.changes import TIMES, changed_rows
from bidrec.sources.definition import Definition, RawTable
from bidrec.sources.raw import match_columns
from bidrec.sql.postgres import connected, describe, said, sqlstate, stoppable, with_options
from bidrec.sql.words import literal, quoted

_PAUSES = (1.0, 5.0, 15.0)
"""Seconds before each further attempt."""
_PASSING = re.compile(r"08|40|53|57P|42P01|42703|0A000|XX000")
"""SQLSTATEs that another attempt may not meet: a lost connection, a conflict, a server that has no room or restarts,
and what a table that was altered meanwhile gives."""
_LOOK_SECONDS = 10
"""How long `reached` waits for whoever has locked a table; a reading waits until the lock is gone."""
_SILENT_SECONDS = 10
"""How long the server may think over what a reading asks of it before the log says so."""
_BATCH_BYTES = 16 << 20
_logger = log.get("ingest")
_NATIVE = re.compile(r"bool|int[248]|float[48]|text|varchar|date|time|timestamp|timestamptz")
"""PostgreSQL types that come over as they are; any other (numeric, char(1), enums) is asked for as text."""
_FAR = {"infinity": "9999-01-01", "-infinity": "0002-01-01"}
"""What is read for a time without an end: the driver would make the year 290279 BC of it. In every zone these are years
of Python's calendar, too."""


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
            return stoppable(lambda opened: _read(server, schema, definition, staging, since, opened))
        except server.errors as error:
            # Not `from error`: its text may hold the address, and a traceback would print it.
            reason = said(error, url)
            pause = next(pauses, None) if server.may_recover(error) else None
            if pause is None:
                raise DependencyDown(
                    f"PostgreSQL at {server.name} cannot be read: {reason}",
                    hint="check BIDREC_SOURCE_URL, the server and the user's rights",
                ) from None
        _logger.warning("the reading was cut off; it is made again", server=server.name, said=reason, in_seconds=pause)
        time.sleep(pause)


class _Server:
    """Where the tables are, and which of its errors another attempt may not meet."""

    def __init__(self, url: str) -> None:
        from adbc_driver_manager import Error

        self.name = describe(url)
        self.address = with_options(url)
        self.errors = Error
        self.was_there = False

    def may_recover(self, error: Any) -> bool:
        """Who could not connect at all is not made to wait: the scheduler tries again later."""
        state = sqlstate(error)
        return self.was_there and (not state or bool(_PASSING.match(state)))


def _read(
    server: _Server,
    schema: str,
    definition: Definition,
    staging: Path,
    since: datetime | None,
    opened: Callable[[Any], None],
) -> dict[str, str]:
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(server.address, autocommit=False) as connection, connection.cursor() as cursor:
        server.was_there = True
        opened(connection)
        lockable = _lockable(cursor, schema, definition)
        connection.commit()
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # Before the first SELECT, which takes the snapshot: a table that is emptied or rewritten after that would be
        # empty in the snapshot. Who loads the tables that way waits for us, as it does for pg_dump.
        if lockable:
            with _telling(f"locks of {', '.join(lockable)}"):
                cursor.execute(f"LOCK TABLE {', '.join(lockable)} IN ACCESS SHARE MODE")
        _read_clocks_as(cursor, definition.zone)
        types = {raw.name: _types(cursor, schema, raw, server.name) for raw in definition.raw}
        chosen = changed_rows(definition, schema, types, since) if since else {}
        return {
            raw.name: _copy(cursor, schema, raw, types[raw.name], chosen.get(raw.name, ""), staging)
            for raw in definition.raw
        }


def _read_clocks_as(cursor: Any, zone: str) -> None:
    """What the database makes of a time while it reads, as in a view that casts one: the same under every server's and
    role's DateStyle and TimeZone. A zone that the server does not know stays its own."""
    cursor.execute("SET LOCAL DateStyle TO 'ISO'")
    cursor.execute("SELECT set_config('TimeZone', name, true) FROM pg_timezone_names WHERE name = $1", (zone,))
    cursor.fetchall()


def _lockable(cursor: Any, schema: str, definition: Definition) -> list[str]:
    """The raw tables that are tables or views: what else there is (foreign, materialized) cannot be locked, nor what
    only some columns may be read of."""
    wanted = {raw.table for raw in definition.raw}
    cursor.execute(
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = $1 AND c.relkind::text IN ('r', 'p', 'v') "
        "AND has_table_privilege(c.oid, 'SELECT') ORDER BY 1",
        (schema,),
    )
    return [f"{quoted(schema)}.{quoted(name)}" for (name,) in cursor.fetchall() if name in wanted]


def reached(url: str, schema: str, definition: Definition) -> str:
    """Which tables there are and have the declared columns, which may be read, in words. Raises as `fetch` does."""
    where = describe(url)
    with connected(url, variable="BIDREC_SOURCE_URL") as (_, cursor):
        cursor.execute(f"SET LOCAL lock_timeout = '{_LOOK_SECONDS}s'")
        for raw in definition.raw:
            columns = match_columns(raw, list(_types(cursor, schema, raw, where))).values()
            cursor.execute(f"{_select(schema, raw, ', '.join(map(quoted, columns)))} LIMIT 0")
    return f"{where} has {', '.join(raw.table for raw in definition.raw)}"


def _copy(cursor: Any, schema: str, raw: RawTable, types: dict[str, str], chosen: str, staging: Path) -> str:
    """Copy the rows for which the condition `chosen` holds ('': all of them)."""
    from pyarrow import parquet

    columns = ", ".join(_column(name, types[name]) for name in match_columns(raw, list(types)).values())
    cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)})
    with _telling(f"rows of {quoted(schema)}.{quoted(raw.table)}"):
        cursor.execute(f"{_select(schema, raw, columns)}{chosen and f' WHERE {chosen}'}")
    target = staging / f"raw_{raw.name}.parquet"
    with (
        closing(_reader(cursor)) as reader,  # before the cursor is
        parquet.ParquetWriter(target, reader.schema, compression="zstd") as writer,
    ):
        for batch in reader:
            writer.write_batch(batch)
    return f"read_parquet({literal(str(target))})"


def _column(name: str, kind: str) -> str:
    column = quoted(name)
    if kind in TIMES:
        far = " ".join(f"WHEN {literal(end)} THEN {literal(day)}" for end, day in _FAR.items())
        return f"CASE {column} {far} ELSE {column} END AS {column}"
    return column if _NATIVE.fullmatch(kind) else f"{column}::text AS {column}"


@contextmanager
def _telling(asked_for: str) -> Iterator[None]:
    """Say so, once, where the server lets the block's statement wait: it answers when the first rows are there."""
    facts = {"asked_for": asked_for.replace('"', ""), "hint": "somebody's lock, or a slow view: see pg_stat_activity"}
    timer = threading.Timer(_SILENT_SECONDS, _logger.warning, ("PostgreSQL has not answered yet",), facts)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _select(schema: str, raw: RawTable, columns: str) -> str:
    return f"SELECT {columns} FROM {quoted(schema)}.{quoted(raw.table)}"


def _reader(cursor: Any) -> Any:
    """The rows in batches. The cursor's own fetch_record_batch makes an OSError without an SQLSTATE of what PostgreSQL
    says in the middle of a table, and its words are in the server's language."""
    from adbc_driver_manager._reader import AdbcRecordBatchReader

    stream = cursor.fetch_arrow()
    return AdbcRecordBatchReader._import_from_c(stream.address)


def _types(cursor: Any, schema: str, raw: RawTable, where: str) -> dict[str, str]:
    """Column -> PostgreSQL type name (of a domain, that of the type it is made of), in the table's order."""
    cursor.execute(
        "SELECT a.attname::text, base.typname::text FROM pg_attribute a CROSS JOIN LATERAL ("
        "WITH RECURSIVE up AS (SELECT * FROM pg_type WHERE oid = a.atttypid "
        "UNION ALL SELECT t.* FROM up JOIN pg_type t ON t.oid = up.typbasetype) "
        "SELECT typname FROM up WHERE typbasetype = 0) AS base "
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
