"""What is new in a reading: the rows that the lake does not hold yet, and from when on they were known.

Reads   checked_<table> (`checks.py`), and the lake's views (`parts.py`) where there is a lake already
Writes  came_<table>, the good rows to be appended, with `came` ('new', 'changed', 'withdrawn') and `late`;
        bad_<table>, the bad rows that no earlier quarantine holds

What came after the last reading may say that it was known before, but nobody who read the lake then was told. Such a
row is late: its known_at is the time of this reading. A row that only restates another known_at is no news, once it is
known.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import duckdb

from bidrec.contract import REASON, TABLES, Table
from bidrec.lake import suspect
from bidrec.lake.checks import Checked
from bidrec.operations import log
from bidrec.sql.watched import watched
from bidrec.sql.words import literal, quoted, types_of


def take_all(connection: duckdb.DuckDBPyConnection) -> None:
    """The first reading: every row is new, and known at the time it states."""
    for name in TABLES:
        known = ", published_at AS known_at" if name == "notice" else ""
        connection.execute(
            f"CREATE VIEW came_{name} AS SELECT * EXCLUDE ({REASON}){known}, 'new' AS came, false AS late "
            f"FROM checked_{name} WHERE {REASON} IS NULL"
        )
        connection.execute(f"CREATE VIEW bad_{name} AS SELECT * FROM checked_{name} WHERE {REASON} IS NOT NULL")


def take_news(
    connection: duckdb.DuckDBPyConnection,
    checked: dict[str, Checked],
    *,
    watermark: datetime,
    read_at: datetime,
    quarantines: Sequence[Path],
) -> dict[str, Checked]:
    """A later reading: what the lake does not hold yet. Returns `checked`, counted over that alone.

    watermark, read_at: when the last reading and this one began (UTC). What says it was known by the watermark is in
    the lake, or late. quarantines: the folders of the bad rows found so far.
    """
    connection.execute("SET VARIABLE watermark = ?", [watermark])
    connection.execute("SET VARIABLE read_at = ?", [read_at])
    for name, table in TABLES.items():
        columns = list(types_of(connection, f"checked_{name}"))
        facts = [column for column in columns if column not in ("known_at", REASON)]
        news = _company_news(facts) if name == "company" else _news_by_key(table, facts)
        with watched(connection, log.get("ingest"), f"comparing {name} with the lake"):
            connection.execute(f"CREATE TABLE came_{name} AS {news}")
        earlier = quarantines if checked[name].quarantined else []  # thousands of files, after years of hours
        connection.execute(f"CREATE TABLE bad_{name} AS {_new_bad(name, columns, earlier)}")
        checked[name].warnings += suspect.restated(connection, name)
    return {name: found.narrowed(connection, f"came_{name}", f"bad_{name}") for name, found in checked.items()}


def _news_by_key(table: Table, facts: list[str]) -> str:
    """Notices and bids: a key that the lake does not have, or whose newest row there says something else.

    What takes the place of a row that is known by now is known from this reading on, unless it states a later moment.
    Of a bid that is still to come, when it comes is news as well: its opening has been moved.
    """
    name, first_key = table.name, table.key[0]
    stated = "published_at" if name == "notice" else "known_at"
    same = " AND ".join(f"given.{key} = held.{key}" for key in table.key)
    differ = " OR ".join(f"given.{quoted(fact)} IS DISTINCT FROM held.{quoted(fact)}" for fact in facts)
    if name == "bid":
        differ += " OR (held.known_at > getvariable('read_at') AND given.known_at <> held.known_at)"
    withdrawn = "WHEN held.withdrawn_at IS NULL AND given.withdrawn_at IS NOT NULL THEN 'withdrawn'"
    told = "CASE WHEN held.known_at <= getvariable('read_at') THEN held.known_at END"
    return f"""
        SELECT {", ".join(f"given.{quoted(fact)}" for fact in facts)},
            CASE WHEN given.{stated} > greatest(getvariable('watermark'), {told}) THEN given.{stated}
                ELSE getvariable('read_at') END AS known_at,
            CASE WHEN held.{first_key} IS NULL THEN 'new' {withdrawn if name == "notice" else ""} ELSE 'changed' END
                AS came,
            given.{stated} <= getvariable('watermark') AND held.{first_key} IS NULL AS late
        FROM checked_{name} AS given LEFT JOIN lake_{name}_now AS held ON {same}
        WHERE given.{REASON} IS NULL AND (held.{first_key} IS NULL OR {differ})
    """


def _company_news(facts: list[str]) -> str:
    """Companies: the versions that begin after the newest one told, or else the newest, where it says something new.

    Those that are still to come replace all that the lake had still to come of the company, so they come with any news
    of it; where there are none any more, its version of now is said again. `told`, `to_come`: what the lake holds.
    """
    # The facts in one column, so that a source may name its own as it likes.
    version = f"company_id, known_at, {{{', '.join(f'{literal(fact)}: {quoted(fact)}' for fact in facts)}}} AS facts"
    return f"""
        WITH given AS (SELECT {version} FROM checked_company WHERE {REASON} IS NULL),
        held AS (SELECT {version} FROM lake_company_stood WHERE company_id IN (SELECT company_id FROM given)),
        told AS (
            FROM held WHERE known_at <= getvariable('read_at')
            QUALIFY row_number() OVER (PARTITION BY company_id ORDER BY known_at DESC) = 1
        ),
        newest AS (
            SELECT given.*, told.facts AS before, told.company_id IS NULL AS is_new,
                given.known_at <= greatest(getvariable('watermark'), told.known_at) AS early
            FROM given LEFT JOIN told USING (company_id) WHERE given.known_at <= getvariable('read_at')
            QUALIFY NOT early OR row_number() OVER (PARTITION BY given.company_id ORDER BY given.known_at DESC) = 1
        ),
        news AS (
            FROM newest QUALIFY facts IS DISTINCT FROM
                lag(facts, 1, before) OVER (PARTITION BY company_id ORDER BY known_at)
        ),
        coming AS (FROM given WHERE known_at > getvariable('read_at')),
        to_come AS (FROM held WHERE known_at > getvariable('read_at')),
        moved AS (
            SELECT company_id FROM news
            UNION SELECT company_id FROM (FROM coming EXCEPT FROM to_come)
            UNION SELECT company_id FROM (FROM to_come EXCEPT FROM coming)
        ),
        came AS (
            SELECT company_id, CASE WHEN early THEN getvariable('read_at') ELSE known_at END AS known_at, facts,
                early AND is_new AS late
            FROM news
            UNION ALL SELECT *, false FROM coming SEMI JOIN moved USING (company_id)
            UNION ALL SELECT company_id, getvariable('read_at'), facts, false
            FROM told SEMI JOIN to_come USING (company_id)
                ANTI JOIN (SELECT company_id FROM coming UNION ALL SELECT company_id FROM news) USING (company_id)
        )
        SELECT unnest(came.facts), came.known_at,
            CASE WHEN told.company_id IS NULL THEN 'new' ELSE 'changed' END AS came, came.late
        FROM came LEFT JOIN told USING (company_id)
    """


def _new_bad(name: str, columns: list[str], quarantines: Sequence[Path]) -> str:
    bad = f"SELECT * FROM checked_{name} WHERE {REASON} IS NOT NULL"
    files = [literal(str(file)) for folder in quarantines if (file := folder / f"{name}.parquet").is_file()]
    if not files:
        return bad
    known = f"read_parquet([{', '.join(files)}], union_by_name = true)"
    # ALL: two bad rows may be the same in every column.
    return f"{bad} EXCEPT ALL SELECT {', '.join(quoted(column) for column in columns)} FROM {known}"
