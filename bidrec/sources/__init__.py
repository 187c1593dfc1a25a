"""Sources: somebody's tables, mapped to the canonical ones by three SELECTs each.

Reads   a folder of dumps, or PostgreSQL: at first whole, later what may have changed (`changes.py`)
Writes  given_notice, given_company, given_bid in the ingest's DuckDB, which `bidrec/lake/checks.py` holds to it

Adding a source is adding a folder of SQL (see koneps/ and gepnic/), no Python.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from bidrec import config
from bidrec.contract import TABLES
from bidrec.errors import ConfigurationError, ContractError, InputMissing, did_you_mean
from bidrec.operations import log
from bidrec.sources import dumps, postgres
from bidrec.sources.definition import Definition, load_definition
from bidrec.sources.raw import make_view
from bidrec.sources.zones import read_clocks_in
from bidrec.sql.watched import watched
from bidrec.sql.words import first_line, quoted

__all__ = ["files", "give", "identity", "load_definition", "reached"]


def identity(source: config.Source, definition: Definition) -> dict[str, Any]:
    """What decides which rows the tables become: the SQL, the zone, the columns, the parameters."""
    return {
        "sql": definition.sql,
        "zone": definition.zone,
        "raw": [(raw.name, raw.table, raw.columns, raw.optional) for raw in definition.raw],
        "parameters": parameters(source, definition),
    }


def files(source: config.Source, definition: Definition) -> list[tuple[str, int, int]] | None:
    """The dumps with their sizes and times; None for a database, which does not say whether it has changed.

    Raises InputMissing (66) without path and url.
    """
    if source.path:
        found = [file for raw in definition.raw for file in dumps.files_of(_folder(source), raw)]
        return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in found]
    if not source.url:
        raise InputMissing(
            "the source has neither a folder nor a database",
            hint="set source.path (is the variable it names unset?), or BIDREC_SOURCE_URL",
        )
    return None


def reached(source: config.Source) -> str:
    """What can be reached of the source, in words, without reading its rows.

    Raises ConfigurationError (64), ContractError (65) on a missing column of a database's table, InputMissing (66),
    DependencyDown (69).
    """
    definition = load_definition(source.name)
    found = files(source, definition)
    if found is not None:
        return f"{definition.name}: {len(found)} files, {sum(size for _, size, _ in found) / 2**20:,.0f} MB"
    return f"{definition.name}: {postgres.reached(source.url, source.schema, definition)}"


def parameters(source: config.Source, definition: Definition) -> dict[str, str]:
    """The source's parameters as configured. Raises ConfigurationError (64) on one it does not have."""
    for name in source.parameters.keys() - definition.parameters.keys():
        raise ConfigurationError(
            f"the source {definition.name} has no parameter {name}", hint=did_you_mean(name, definition.parameters)
        )
    return definition.parameters | source.parameters


@dataclass(frozen=True)
class Given:
    """What was found of a source when it gave its tables."""

    whole: bool
    """Whether no row of it was left out."""
    optional: dict[str, list[str]]
    """Raw table's name -> which of its optional columns are there."""


def give(
    connection: duckdb.DuckDBPyConnection,
    source: config.Source,
    definition: Definition,
    staging: Path,
    since: datetime | None = None,
) -> Given:
    """Make given_notice, given_company and given_bid of the source's tables; `staging` takes what has to be copied.

    `since` (UTC): rows of a database that have not changed from then on may be left out.
    Raises ConfigurationError (64) on SQL that does not stand, or a zone unknown to DuckDB; ContractError (65) on rows
    that cannot be converted; InputMissing (66) and DependencyDown (69) where the tables cannot be read. The
    session is then in UTC.
    """
    # The source's zone while its SQL runs, so that a conversion somebody forgot is still read in it.
    read_clocks_in(connection, definition.zone)
    for name, value in {**parameters(source, definition), "zone": definition.zone}.items():
        connection.execute(f"SET VARIABLE {quoted(name)} = ?", [value])
    if source.path:
        relations = {
            raw.name: dumps.relation(connection, raw, dumps.files_of(_folder(source), raw), staging)
            for raw in definition.raw
        }
    else:
        relations = postgres.fetch(source.url, source.schema, definition, staging, since)
    optional = {raw.name: make_view(connection, raw, relations[raw.name]) for raw in definition.raw}
    for table in TABLES:
        _select(connection, definition, table)
    connection.execute("SET TimeZone = 'UTC'")
    return Given(bool(source.path) or since is None or not definition.watermarked, optional)


def _select(connection: duckdb.DuckDBPyConnection, definition: Definition, table: str) -> None:
    """Run the source's SELECT over the views raw_<table> into given_<table>."""
    try:
        with watched(connection, log.get("source"), f"reading {table}"):
            connection.execute(f"CREATE TABLE given_{table} AS {definition.sql[table]}")
    except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
        raise ConfigurationError(f"{definition.name}/{table}.sql: {error}") from error
    except (duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException) as error:
        raise ContractError(f"{definition.name}/{table}.sql: {first_line(error)}") from error
    except duckdb.Error as error:
        if type(error) is not duckdb.Error:
            raise
        # Of no kind: what the reader of Parquet meets in a damaged page.
        raise ContractError(f"{definition.name}/{table}.sql: a file is damaged: {first_line(error)}") from error


def _folder(source: config.Source) -> Path:
    return Path(source.path).expanduser().resolve()
