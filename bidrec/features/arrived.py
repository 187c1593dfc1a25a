"""A notice from its raw fields to the row it will be in features/notice, by the same SQL.

Reads   canonical columns of a notice (bidrec/contract.py), which need not be in the lake
Makes   the table `notice` in a DuckDB connection, for one look at it
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

import duckdb

from bidrec.contract import NOTICE
from bidrec.errors import ContractError, did_you_mean
from bidrec.sql.words import first_line, quoted, types_of

_TYPES = {column.name: column.type for column in NOTICE.columns}


def write_arrived(connection: duckdb.DuckDBPyConnection, given: Mapping[str, Any], added: Collection[str]) -> datetime:
    """Make the table `notice` of one row and return when it was published (aware).

    given: canonical columns, of which notice_id and published_at are needed; times are aware datetimes or ISO text with
    an offset. `added`: the columns a model reads; those a source has of its own may be given, what is worked out of a
    notice may not.
    Raises ContractError (65) on an unknown column, a value that is none of its type, and what no notice can be.
    """
    row = _checked(given, added)
    try:
        _write_known(connection, row)
    except (duckdb.ConversionException, duckdb.InvalidInputException, duckdb.BinderException) as error:
        raise ContractError(f"the notice cannot be read: {first_line(error)}") from error
    for reason, condition in NOTICE.never:
        if connection.execute(f"SELECT {condition} FROM known_notice").fetchall()[0][0]:
            raise ContractError(f"the notice cannot be: {reason}")
    _write_notice(connection)
    return row["published_at"]


def _write_known(connection: duckdb.DuckDBPyConnection, row: Mapping[str, Any]) -> None:
    """The table that notice.sql reads, of one row: the canonical columns, NULL where not given, and others given."""
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET VARIABLE known_after = '0001-01-01'::TIMESTAMPTZ")
    connection.execute("SET VARIABLE known_until = '9999-12-31'::TIMESTAMPTZ")
    names = dict.fromkeys((*_TYPES, *row))
    columns = [
        f"${number}{f'::{_TYPES[name]}' if name in _TYPES else ''} AS {quoted(name)}"
        for number, name in enumerate(names, start=1)  # a source's own name may be none for a parameter
    ]
    connection.execute(
        f"""CREATE TEMP TABLE known_notice AS
            SELECT *, published_at AS known_at, 1 AS part, true AS is_publication FROM (SELECT {", ".join(columns)})""",
        [row.get(name) for name in names],
    )


def _write_notice(connection: duckdb.DuckDBPyConnection) -> None:
    """The table `notice` of known_notice."""
    folder = files("bidrec.features")
    connection.execute(folder.joinpath("macros.sql").read_text(encoding="utf-8"))
    connection.execute(f"CREATE TEMP TABLE notice AS {folder.joinpath('notice.sql').read_text(encoding='utf-8')}")


@cache
def _worked_out() -> frozenset[str]:
    """The columns that notice.sql makes of the canonical ones: nobody gives them, though the model reads them."""
    with duckdb.connect() as connection:
        _write_known(connection, {})
        _write_notice(connection)
        return frozenset(types_of(connection, "notice")) - _TYPES.keys()


def _checked(given: Mapping[str, Any], added: Collection[str]) -> dict[str, Any]:
    known = [*_TYPES, *(name for name in added if name not in _worked_out())]
    for name in given.keys() - {*known}:
        raise ContractError(f"a notice has no column {name!r}", hint=did_you_mean(name, known))
    missing = [name for name in NOTICE.needed if given.get(name) is None]
    if missing:
        raise ContractError(f"the notice lacks {' and '.join(missing)}")
    times = {name for name, kind in _TYPES.items() if kind == "TIMESTAMPTZ"}
    stated = {name: value for name, value in given.items() if value is not None}
    return {name: _aware(name, value) if name in times else value for name, value in stated.items()}


def _aware(name: str, value: Any) -> datetime:
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise ContractError(f"{name} is no time: {value!r}") from error
    if moment.tzinfo is None:
        raise ContractError(f"{name} does not say in which zone it is: {value!r}", hint="add an offset, such as +09:00")
    return moment
