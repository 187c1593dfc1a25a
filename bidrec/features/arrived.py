"""A notice from its raw fields to the row it will be in features/notice, by the same SQL.

Reads   canonical columns of a notice (bidrec/contract.py), which need not be in the lake
Makes   the table `notice` in a DuckDB connection, for one look at it
"""

import difflib
from collections.abc import Collection, Mapping
from datetime import datetime
from importlib.resources import files
from typing import Any

import duckdb

from bidrec.contract import NOTICE
from bidrec.errors import ContractError
from bidrec.sql import first_line, quoted

_TYPES = {column.name: column.type for column in NOTICE.columns}


def write_arrived(
    connection: duckdb.DuckDBPyConnection, given: Mapping[str, Any], added: Collection[str] = ()
) -> datetime:
    """Make the table `notice` of one row and return when it was published (aware).

    given: canonical columns, of which notice_id and published_at are needed; times are aware datetimes or ISO text with
    an offset. `added`: further columns that may be given, those a source has of its own.
    Raises ContractError (65) on an unknown column, a value that is none of its type, and what no notice can be.
    """
    row = _checked(given, added)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(files("bidrec.features").joinpath("macros.sql").read_text(encoding="utf-8"))
    connection.execute("SET VARIABLE known_after = '0001-01-01'::TIMESTAMPTZ")
    connection.execute("SET VARIABLE known_until = '9999-12-31'::TIMESTAMPTZ")
    columns = [f"{_value(name)} AS {quoted(name)}" for name in (*_TYPES, *(n for n in row if n not in _TYPES))]
    own = f"{_value('published_at')} AS known_at, 1 AS part, true AS is_publication"
    try:
        connection.execute(
            f"CREATE TEMP TABLE known_notice AS SELECT {', '.join(columns)}, {own}",
            dict.fromkeys(_TYPES) | row,
        )
    except (duckdb.ConversionException, duckdb.InvalidInputException, duckdb.BinderException) as error:
        raise ContractError(f"the notice cannot be read: {first_line(error)}") from error
    for reason, condition in NOTICE.never:
        if connection.execute(f"SELECT {condition} FROM known_notice").fetchall()[0][0]:
            raise ContractError(f"the notice cannot be: {reason}")
    connection.execute(
        f"CREATE TEMP TABLE notice AS {files('bidrec.features').joinpath('notice.sql').read_text(encoding='utf-8')}"
    )
    return row["published_at"]


def _value(name: str) -> str:
    return f"${name}::{_TYPES[name]}" if name in _TYPES else f"${name}"


def _checked(given: Mapping[str, Any], added: Collection[str]) -> dict[str, Any]:
    for name in given.keys() - _TYPES.keys() - {*added}:
        near = difflib.get_close_matches(name, [*_TYPES, *added], n=1)
        raise ContractError(f"a notice has no column {name!r}", hint=f"did you mean {near[0]}?" if near else None)
    missing = [name for name in NOTICE.needed if given.get(name) is None]
    if missing:
        raise ContractError(f"the notice lacks {' and '.join(missing)}")
    times = {name for name, kind in _TYPES.items() if kind == "TIMESTAMPTZ"}
    return {name: _aware(name, value) if name in times else value for name, value in given.items()}


def _aware(name: str, value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise ContractError(f"{name} is no time: {value!r}") from error
    if moment.tzinfo is None:
        raise ContractError(f"{name} does not say in which zone it is: {value!r}", hint="add an offset, such as +09:00")
    return moment
