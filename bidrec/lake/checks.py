"""Holds the rows a source gave against the contract, and sorts them into good ones and quarantined ones.

Reads   given_<table>, what the source's SELECT gave
Writes  checked_<table>, its rows in canonical types with `reason`: NULL, or all the reasons why the row is bad

A broken schema or a duplicate key ends the job with 65 here; a bad row is only marked.
"""

import difflib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import duckdb

from bidrec.config import Contract
from bidrec.contract import PERSONAL, REASON, TABLES, Column, Table
from bidrec.errors import ContractError, InputMissing
from bidrec.lake import suspect
from bidrec.operations import log
from bidrec.sql.casting import cast, refuse_loss
from bidrec.sql.watched import watched
from bidrec.sql.words import literal, quoted, types_of

_CONTROL = r"[\p{Cc}\p{Zl}\p{Zp}\x{202A}-\x{202E}\x{2066}-\x{2069}]"
"""What is no character for people, in DuckDB's regular expressions: PostgreSQL takes no NUL, a terminal obeys an ESC,
some readers begin a new line at U+2028, and an override of the writing's direction (U+202E) turns the rest round."""
_FIRST, _END = "1800-01-01", "2200-01-01"
"""Times before and from then on stand for "none" (0001-01-01, 9999-12-31, infinity). Kept, they would spoil the mean of
an age; Feast's readers fail on what is before 1678, after 2261 or, in UTC, in the year 10000."""


@dataclass(kw_only=True)
class Checked:
    """What the check of one table found."""

    given: int
    """Rows the source gave."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Reason -> quarantined rows with it (a row may have several)."""
    quarantined: int = 0
    warnings: list[str] = field(default_factory=list)

    def counting(self, connection: duckdb.DuckDBPyConnection, rows: str) -> "Checked":
        """The same, with the bad rows that are in the relation `rows`."""
        bad = f"FROM {rows} WHERE {REASON} IS NOT NULL"
        reasons = connection.execute(
            f"SELECT each, count(*) AS n FROM (SELECT unnest(string_split({REASON}, '; ')) AS each {bad}) "
            "GROUP BY each ORDER BY n DESC, each"
        ).fetchall()
        return replace(self, reasons=dict(reasons), quarantined=_count(connection, f"({bad})"))

    def narrowed(self, connection: duckdb.DuckDBPyConnection, good: str, bad: str) -> "Checked":
        """The same of fewer rows: those in the relations `good` and `bad`."""
        given = _count(connection, good) + _count(connection, bad)
        return replace(self, given=given).counting(connection, bad)


def check(
    connection: duckdb.DuckDBPyConnection,
    rules: Contract,
    now: datetime | None = None,
    *,
    held: bool = False,
    since: datetime | None = None,
) -> dict[str, Checked]:
    """Turn given_notice, given_company and given_bid into checked_*; `now` (UTC) is where the future begins.

    held: the connection has the views of a lake (`bidrec/lake/parts.py`), whose notices and companies are known too.
    since: from when on (UTC) what may have changed was asked for; None: the rows are all that the source has. A part of
    them may be empty, or lack the values of a column.
    Raises InputMissing (66) on an empty table; ContractError (65) on a missing column, a type that does not fit, a
    naive time, a personal column, a duplicate key, or another market's rows.
    """
    whole, latest = since is None, (now or datetime.now(UTC)) + timedelta(days=rules.max_future_days)
    checked = {table.name: _check_table(connection, table, rules, latest, held, whole) for table in TABLES.values()}
    if whole:
        checked["notice"].warnings += suspect.notices(connection)
        checked["bid"].warnings += suspect.days_alone(connection) + suspect.at_night(connection)
    if held:
        checked["company"].warnings += suspect.restated_versions(connection)
        for name, warnings in suspect.renamed(connection, since).items():
            checked[name].warnings += warnings
    return checked


def _check_table(
    connection: duckdb.DuckDBPyConnection, table: Table, rules: Contract, latest: datetime, held: bool, whole: bool
) -> Checked:
    source = f"given_{table.name}"
    rows = _count(connection, source)
    if not rows and whole:
        raise InputMissing(f"the source gives no row of {table.name}", hint="is the table empty, or a parameter wrong?")
    given = types_of(connection, source)
    refuse_columns(table, given)
    _refuse_naive_times(connection, table, given)
    wanted = {name: column.type for name in given if (column := table.column(name)) and column.type != "TIMESTAMPTZ"}
    refuse_loss(connection, table.name, source, given, wanted)

    connection.execute(f"CREATE VIEW typed AS SELECT {_typed(table, given)} FROM {source}")
    with watched(connection, log.get("source"), f"looking for keys of {table.name} that are there twice"):
        _refuse_duplicates(connection, table)
    reasons = [f"CASE WHEN {condition} THEN {literal(reason)} END" for reason, condition in _bad(table, rules, latest)]
    with watched(connection, log.get("source"), f"checking {table.name}", rows):
        connection.execute(
            f"CREATE TABLE checked_{table.name} AS SELECT typed.*, nullif(concat_ws('; ', {', '.join(reasons)}), '') "
            f"AS {REASON} FROM typed{_joins(table, held)}"
        )
    warnings = suspect.empty_columns(connection, table, given) if whole else []
    if table.name == "bid":
        warnings += suspect.unknown_companies(connection, held)
    connection.execute(f"DROP VIEW typed; DROP TABLE {source}")
    return Checked(given=rows, warnings=warnings).counting(connection, f"checked_{table.name}")


def refuse_columns(table: Table, given: dict[str, str]) -> None:
    """Raise ContractError if a needed column is missing (naming the nearest one given), or one may not be there."""
    lower = {name.lower(): name for name in given}
    missing = []
    for name in table.needed:
        if name not in lower:
            near = difflib.get_close_matches(name, lower, n=1, cutoff=0.5)
            missing.append(name + (f" (the nearest given is {lower[near[0]]})" if near else ""))
    if missing:
        raise ContractError(
            f"{table.name}: the source gives no column {', '.join(missing)}", hint=f"given: {', '.join(given)}"
        )
    personal = [name for name in given if PERSONAL.search(name)]
    if personal:
        raise ContractError(
            f"{table.name}: {', '.join(personal)} holds names or numbers of persons, which never enter the lake",
            hint=f"leave it out of {table.name}.sql",
        )
    for name in table.reserved:
        if name in lower:
            raise ContractError(
                f"{table.name}: a column may not be called {name}", hint="rename it in the source's SQL"
            )


def _refuse_naive_times(connection: duckdb.DuckDBPyConnection, table: Table, given: dict[str, str]) -> None:
    """A time without a zone is off by hours somewhere, and nobody notices: only TIMESTAMPTZ is taken.

    An extra column may be a DATE, but no naive TIMESTAMP either. A column without any value has no type to speak of.
    """
    for name, kind in given.items():
        column = table.column(name)
        if kind == "TIMESTAMPTZ" or (column.type != "TIMESTAMPTZ" if column else not kind.startswith("TIMESTAMP")):
            continue
        number, example = connection.execute(
            f"SELECT count({quoted(name)}), min({quoted(name)})::VARCHAR FROM given_{table.name}"
        ).fetchall()[0]
        if number:
            hint = f"in {table.name}.sql write {name} AT TIME ZONE getvariable('zone'), of a TIMESTAMPTZ {name} alone"
            if kind == "VARCHAR":  # made a TIMESTAMP, it would lose its offset without a word
                hint = "declare it TIMESTAMPTZ in source.toml if its text has an offset (Z, +09:00), else TIMESTAMP"
            raise ContractError(
                f"{table.name}: {name} is {kind}, not a time with a zone, in {number} rows (for example {example!r})",
                hint=hint,
            )


def _typed(table: Table, given: dict[str, str]) -> str:
    """SQL: every canonical column in its type (NULL where the source has none), then the source's further ones."""
    lower = {name.lower(): name for name in given}
    canonical = [_canonical(column, lower, given) for column in table.columns]
    further = [
        f"{_meant(quoted(name), kind)} AS {quoted(name)}" for name, kind in given.items() if table.column(name) is None
    ]
    return ", ".join(canonical + further)


def _canonical(column: Column, lower: dict[str, str], given: dict[str, str]) -> str:
    name = lower.get(column.name)
    if name is None:
        return f"NULL::{column.type} AS {column.name}"
    value = cast(name, given[name], column.type)
    if column.type == "VARCHAR":
        if not column.needed:
            value = f"regexp_replace({value}, '{_CONTROL}+', ' ', 'g')"
        value = f"nullif(trim({value}), '')"  # fixed-width columns come padded, and '' is no title
    if not column.needed:  # a needed time that stands for none is out of its bounds: its row is bad
        value = _meant(value, column.type)
    return f"{value} AS {column.name}"


def _meant(value: str, kind: str) -> str:
    """SQL: NULL instead of a time or a day that stands for none."""
    if kind not in ("TIMESTAMPTZ", "DATE"):
        return value
    return f"CASE WHEN {value} >= '{_FIRST}' AND {value} < '{_END}' THEN {value} END"


def _refuse_duplicates(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    key = ", ".join(table.key)
    # A NULL in the key is another fault, for the quarantine.
    complete = " AND ".join(f"{name} IS NOT NULL" for name in table.key)
    repeated = f"SELECT {key}, count(*) AS n FROM typed WHERE {complete} GROUP BY {key} HAVING n > 1"
    keys, rows, *example = connection.execute(
        f"SELECT count(*), sum(n), {', '.join(f'arg_min({name}, ({key}))::VARCHAR' for name in table.key)} "
        f"FROM ({repeated})"
    ).fetchall()[0]
    if keys:
        shown = ", ".join(f"{name} = {value!r}" for name, value in zip(table.key, example, strict=True))
        raise ContractError(
            f"{table.name}: {keys} keys ({key}) occur more than once, in {rows} rows (for example {shown})",
            hint=f"keep one row per key in {table.name}.sql",
        )


def _bad(table: Table, rules: Contract, latest: datetime) -> list[tuple[str, str]]:
    """(reason, SQL condition) of every rule of the table; a condition that is NULL does not hold."""
    bad = [(f"{name} is missing", f"typed.{name} IS NULL") for name in table.needed]
    for column in table.columns:
        if column.needed and column.type == "VARCHAR":
            # An id; made clean, it might be another one's.
            condition = f"regexp_matches(typed.{column.name}, '{_CONTROL}')"
            bad.append((f"{column.name} holds a control character", condition))
        if column.bounded:
            name = f"typed.{column.name}"
            bad.append((f"{column.name} is before {rules.earliest}", f"{name} < '{rules.earliest} 00:00:00+00'"))
            reason = f"{column.name} is more than {rules.max_future_days} days ahead"
            bad.append((reason, f"{name} > '{latest.isoformat()}'"))
    bad += table.never
    if table.name == "bid":
        bad += [
            ("no notice has this notice_id", "typed.notice_id IS NOT NULL AND parent.id IS NULL"),
            ("its notice is quarantined", "parent.bad"),
            # It would be history of the company before anybody could have bid, its own notice's among it.
            ("known_at is before the notice's published_at", "typed.known_at < parent.published"),
        ]
    return bad


def _joins(table: Table, held: bool) -> str:
    if table.name != "bid":
        return ""
    # Aliased, so that the rules' bare column names can only mean the bid's.
    notices = f"SELECT notice_id AS id, published_at AS published, {REASON} IS NOT NULL AS bad FROM checked_notice"
    if held:
        # A good row before the lake's, that before a bad one: a notice once good is not lost by a bad change.
        notices = (
            "SELECT id, arg_min(published, age) AS published, min(age) = 2 AS bad FROM ("
            f"SELECT id, published, 2 * bad::INTEGER AS age FROM ({notices}) "
            "UNION ALL SELECT notice_id, published_at, 1 FROM lake_notice_now) GROUP BY id"
        )
    return f" LEFT JOIN ({notices}) AS parent ON typed.notice_id = parent.id"


def _count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0])
