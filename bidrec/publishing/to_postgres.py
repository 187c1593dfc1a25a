"""All published recommendations into one PostgreSQL table, which readers see change in one moment.

Reads   published/current
Writes  a table of the columns of export.py, in the database that publish.url names

One transaction: the rows go into a table of another name, which takes the old one's rights and then its name. Readers
see the old rows or the new ones, never none; whatever fails, the old table stays. A table that bidrec has not made is
not replaced.
"""

import secrets
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from bidrec.config import Config
from bidrec.errors import CannotWrite, ConfigurationError
from bidrec.operations import log
from bidrec.publishing.export import COLUMNS, counted, recommendations
from bidrec.sql.postgres import connected, describe, stoppable
from bidrec.sql.words import literal, quoted

VARIABLE = "BIDREC_EXPORT_URL"
MADE_BY = "bidrec:"
"""How the comment of a table of ours begins."""
LOCK_SECONDS = 60
"""How long the change of names waits for those who read the old table, before it gives up (69)."""


def export_table(config: Config, direction: str, top: int | None, table: str) -> dict[str, Any]:
    """Write the recommendations to `table` ("name" or "schema.name", as it is spelt); returns what was written.

    Raises InputMissing (66), ConfigurationError (64) without an address, DependencyDown (69), CannotWrite (73).
    """
    schema, name = _names(table)
    url = config.publish.url
    if not url:
        raise ConfigurationError("no database is configured to write to", hint=f"set {VARIABLE} (publish.url)")
    where = describe(url, VARIABLE)
    rows = stoppable(lambda opened: _write(config, direction, top, schema, name, opened))
    return {"to": f"{where}: {schema}.{name}", "rows": rows}


def _write(
    config: Config, direction: str, top: int | None, schema: str, name: str, opened: Callable[[Any], None]
) -> int:
    with (
        recommendations(config, direction, top) as (reader, total),
        connected(config.publish.url, variable=VARIABLE, to_write=True) as (connection, cursor),
    ):
        opened(connection)
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
        old = _ours(cursor, schema, name)
        staging = f"{name[:10]}_{secrets.token_hex(4)}"
        new = f"{quoted(schema)}.{quoted(staging)}"
        columns = ", ".join(f"{quoted(field.name)} {_type(field.type)}" for field in reader.schema)
        cursor.execute(f"CREATE TABLE {new} ({columns})")
        rows = cursor.adbc_ingest(staging, _stream(reader, total), mode="append", db_schema_name=schema)
        _describe(cursor, new, direction)
        if old:
            _grant_likewise(cursor, old, new)
            # A reader whose transaction stays open keeps this waiting, and nothing else would say for what.
            logger = log.get("recommend")
            logger.info("all rows are written; replacing the table once nobody reads it", seconds_at_most=LOCK_SECONDS)
            cursor.execute(f"DROP TABLE {quoted(schema)}.{quoted(name)}")
        cursor.execute(f"ALTER TABLE {new} RENAME TO {quoted(name)}")
        connection.commit()
    return int(rows)


def _names(table: str) -> tuple[str, str]:
    schema, _, name = table.rpartition(".")
    if not name or "." in schema:
        raise ConfigurationError(f"{table!r} is no name of a table", hint="give name or schema.name")
    return schema or "public", name


def _type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "timestamptz"
    return {pa.string(): "text", pa.int32(): "integer", pa.float32(): "real", pa.float64(): "double precision"}[kind]


def _stream(reader: pa.RecordBatchReader, total: int) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(reader.schema, counted(reader, total))


def _ours(cursor: Any, schema: str, name: str) -> int | None:
    """The oid of the table that is to be replaced, None where there is none; CannotWrite (73) where it is not ours.

    ConfigurationError (64) on a name that PostgreSQL would cut off, and not find as a whole the next time.
    """
    cursor.execute("SELECT $1::text::name::text", (name,))
    if (shorter := cursor.fetchone()[0]) != name:
        raise ConfigurationError(f"the name {name} is too long for PostgreSQL", hint=f"it would be {shorter}")
    cursor.execute(
        "SELECT c.oid::bigint, c.relkind::text, obj_description(c.oid, 'pg_class') FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
        (schema, name),
    )
    found = cursor.fetchone()
    if found is None:
        return None
    oid, kind, comment = found
    if kind != "r" or not (comment or "").startswith(MADE_BY):
        raise CannotWrite(
            f"{schema}.{name} is there already, and bidrec has not made it", hint="give another name with --to"
        )
    return int(oid)


def _describe(cursor: Any, table: str, direction: str) -> None:
    """Key and comments."""
    cursor.execute(f"ALTER TABLE {table} ADD PRIMARY KEY ({direction}_id, rank)")
    what = f"{MADE_BY} published recommendations, the list of each {direction}"
    cursor.execute(f"COMMENT ON TABLE {table} IS {literal(what)}")
    for column, meaning in COLUMNS.items():
        cursor.execute(f"COMMENT ON COLUMN {table}.{column} IS {literal(meaning)}")


def _grant_likewise(cursor: Any, old: int, new: str) -> None:
    """Who may read the old table may read the new one."""
    cursor.execute(
        "SELECT a.privilege_type, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END "
        "FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid::bigint = $1 AND a.grantee <> c.relowner",
        (old,),
    )
    for privilege, grantee in cursor.fetchall():
        cursor.execute(f"GRANT {privilege} ON {new} TO {grantee}")
