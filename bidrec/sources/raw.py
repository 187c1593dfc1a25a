"""Raw tables as views of the types that source.toml declares, whatever they were read from.

Reads   a relation of DuckDB: files (`dumps.py`) or what PostgreSQL gave (`postgres.py`)
Writes  the view raw_<table>: exactly the declared columns; optional ones that are not there are NULL
"""

import re

import duckdb

from bidrec.errors import ConfigurationError, ContractError, nearest
from bidrec.operations import log
from bidrec.sources.definition import RawTable
from bidrec.sql.casting import cast, refuse_loss
from bidrec.sql.words import first_line, quoted, types_of

_logger = log.get("ingest")


def make_view(connection: duckdb.DuckDBPyConnection, raw: RawTable, relation: str) -> list[str]:
    """Create raw_<table> over `relation`; returns which of the optional columns are there.

    The session's TimeZone must be the source's: clock times in text are read in it where a TIMESTAMPTZ is declared.
    Raises ContractError (65) on a missing column, or a value that is not of its declared type (how many, an example);
    ConfigurationError (64) on a type that DuckDB does not know.
    """
    given = types_of(connection, f"(SELECT * FROM {relation})")
    actual, wanted = match_columns(raw, list(given)), _declared(connection, raw)
    try:
        there = {actual[name]: kind for name, kind in wanted.items() if name in actual}
        refuse_loss(connection, raw.table, relation, given, there)
    except duckdb.Error as error:
        if "Could not write" in str(error):
            raise  # the home's disk, not the table
        file = re.search(r"^ *file = (.+)$", str(error), re.MULTILINE)  # of a CSV reader's message, which is 20 lines
        raise ContractError(
            f"cannot read the table {raw.table}: {first_line(error)}" + (f" ({file[1]})" if file else ""),
            hint="a line with too few or too many fields, a quote that is not doubled, or line ends of two kinds?",
        ) from error
    absent = [name for name in raw.optional if name not in actual]
    if absent:
        _logger.debug("optional columns are not there", table=raw.table, columns=", ".join(absent))
    columns = ", ".join(
        f"{cast(actual[name], given[actual[name]], kind) if name in actual else f'NULL::{kind}'} AS {quoted(name)}"
        for name, kind in wanted.items()
    )
    connection.execute(f"CREATE VIEW {quoted('raw_' + raw.name)} AS SELECT {columns} FROM {relation}")
    return [name for name in raw.optional if name in actual]


def _declared(connection: duckdb.DuckDBPyConnection, raw: RawTable) -> dict[str, str]:
    """Declared column -> its type, as DuckDB spells it: `int` and `timestamp` are under sql/casting.py's rules too."""
    columns = ", ".join(f"CAST(NULL AS {kind}) AS c{place}" for place, kind in enumerate(raw.all_columns.values()))
    try:
        return dict(zip(raw.all_columns, types_of(connection, f"(SELECT {columns})").values(), strict=True))
    except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
        raise ConfigurationError(f"[raw.{raw.name}] in source.toml: {first_line(error)}") from error


def match_columns(raw: RawTable, given: list[str]) -> dict[str, str]:
    """Declared column -> the name it has in the data, whatever its capitals; absent optional ones are left out.

    Raises ContractError (65) that lists every missing column with the nearest one there is.
    """
    lower = {name.lower(): name for name in given}
    missing = []
    for name in raw.columns:
        if name.lower() not in lower:
            near = nearest(name.lower(), lower)
            missing.append(name + (f" (the nearest there is {lower[near]})" if near else ""))
    if missing:
        raise ContractError(
            f"the table {raw.table} has no column {', '.join(missing)}",
            hint="declare it under optional in source.toml if the table may lack it",
        )
    return {name: lower[name.lower()] for name in raw.all_columns if name.lower() in lower}
