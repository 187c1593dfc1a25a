"""Which companies and notices were erased: what the lake keeps of their keys, so that no reading brings them back.

Reads   `erased` in lake/manifest.json
Writes  nothing: it takes their rows out of given_<table>, what a source's SELECTs gave

The lake keeps no key that was erased, but a salted SHA-256 of it. That tells of a key that somebody has whether it was
erased. Who may read the home can try all numbers of ten digits: it is a list of persons still, and no more than that.
"""

import hashlib
import secrets
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import duckdb

from bidrec.contract import TABLES
from bidrec.errors import ContractError
from bidrec.sql.casting import cast
from bidrec.sql.words import first_line, literal, types_of

Keys = Mapping[str, Collection[str]]
"""company_id and notice_id -> the keys of that column."""
COLUMNS = ("company_id", "notice_id")


def is_erased(erased: Mapping[str, Any], column: str, key: str) -> bool:
    """Whether the entry of a lake's manifest has the key."""
    return bool(erased) and _digest(erased["salt"], key) in erased[column]


def with_keys(erased: Mapping[str, Any], keys: Keys) -> dict[str, Any]:
    """The entry with those keys as well."""
    salt = erased["salt"] if erased else secrets.token_hex(16)
    there = erased or dict.fromkeys(COLUMNS, ())
    return {"salt": salt} | {
        column: sorted({*there[column], *(_digest(salt, key) for key in keys.get(column, ()))}) for column in COLUMNS
    }


def without_keys(erased: Mapping[str, Any], keys: Keys) -> dict[str, Any]:
    """The entry without those keys."""
    gone = {column: {_digest(erased["salt"], key) for key in keys.get(column, ())} for column in COLUMNS}
    return {**erased} | {column: sorted({*erased[column]} - gone[column]) for column in COLUMNS}


def leave_out(connection: duckdb.DuckDBPyConnection, erased: Mapping[str, Any]) -> None:
    """Delete from given_notice, given_company and given_bid the rows with an erased key."""
    for table in TABLES:
        given = types_of(connection, f"given_{table}")
        named = {name.lower(): name for name in given}
        for column in COLUMNS:
            if erased and erased[column] and (name := named.get(column)):
                key = f"trim({cast(name, given[name], 'VARCHAR')})"  # as it would be in the lake
                connection.execute(
                    f"DELETE FROM given_{table} WHERE sha256({literal(erased['salt'])} || {key}) "
                    "IN (SELECT unnest(?::VARCHAR[]))",
                    [erased[column]],
                )


def of_keys(keys: Keys, there: Collection[str]) -> str:
    """SQL: whether a row with the columns `there` is of one of the keys, with its parameters as literals."""
    asked = {column: keys.get(column, ()) for column in COLUMNS if column in there}
    named = (f"{column} IN ({', '.join(map(literal, sorted(some)))})" for column, some in asked.items() if some)
    return f"coalesce({' OR '.join(named) or 'false'}, false)"


def held_in(connection: duckdb.DuckDBPyConnection, file: Path, keys: Keys) -> dict[str, set[str]]:
    """Which of the keys a Parquet file has, in columns and lists of ids; only columns with any.

    Raises ContractError (65) for a file that cannot be read.
    """
    rows = f"read_parquet({literal(str(file))})"
    found = {}
    try:
        there = types_of(connection, f"(FROM {rows})")
        for column, asked in keys.items():
            ids = [f"SELECT {column}::VARCHAR FROM {rows}"] if column in there else []
            ids += [f"SELECT unnest({column}s)::VARCHAR FROM {rows}"] if f"{column}s" in there else []
            if ids and asked:
                of_keys = (
                    f"SELECT DISTINCT id FROM ({' UNION ALL '.join(ids)}) AS ids(id) WHERE id IN (SELECT unnest(?))"
                )
                found[column] = {key for (key,) in connection.execute(of_keys, [[*asked]]).fetchall()}
    except duckdb.Error as error:
        raise ContractError(f"cannot read {file}: {first_line(error)}", hint="restore or delete it") from error
    return {column: some for column, some in found.items() if some}


def _digest(salt: str, key: str) -> str:
    return hashlib.sha256((salt + key).encode()).hexdigest()
