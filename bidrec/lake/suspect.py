"""What is suspect of a source whose rows hold the contract: a line is said of it. Another market's tables are refused.

Reads   typed (one table's rows before they are judged), checked_<table> (`bidrec/lake/checks.py`), the lake's views,
        came_<table> (`bidrec/lake/increment.py`)
Writes  nothing
"""

from datetime import UTC, datetime

import duckdb

from bidrec.contract import COMPANY, NOTICE, REASON, TABLES, Table
from bidrec.errors import ContractError
from bidrec.sql.words import is_number, literal, quoted, types_of

OPEN_NOTICES = 20
"""Notices without a bid of which something can be told."""
OPENINGS = 20
"""Moments of openings of which something can be told."""
AT_NIGHT = 0.2
"""Share of the openings, and of the publications, by which something can be told."""
GROWN_COMPANIES = 10
"""Companies with a new version of whose earlier ones something can be told."""
HELD = 20
"""Notices, companies or bids of the lake of most of which something can be told."""
_NEWEST = {
    "notice": "lake_notice_now",
    "bid": "lake_bid_now",
    "company": "(FROM lake_company_stood "
    "QUALIFY row_number() OVER (PARTITION BY company_id ORDER BY known_at DESC) = 1)",
}


def empty_columns(connection: duckdb.DuckDBPyConnection, table: Table, given: dict[str, str]) -> list[str]:
    """Faults that a row survives: columns without any value, notices without a title."""
    counts = ", ".join(f"count({quoted(name)})" for name in given)
    total, *present = connection.execute(f"SELECT count(*), {counts} FROM typed").fetchall()[0]
    filled = dict(zip((name.lower() for name in given), present, strict=True))
    empty = [name for name, number in filled.items() if not number]
    warnings = [f"{table.name}: no row has a value of {', '.join(empty)}"] if empty else []
    if table.name == "notice" and 0 < filled.get("title", 0) < total:
        warnings.append(f"notice: title is empty in {total - filled['title']} of {total} rows")
    return warnings


def unknown_companies(connection: duckdb.DuckDBPyConnection, held: bool) -> list[str]:
    known = "SELECT company_id FROM checked_company WHERE company_id IS NOT NULL"
    if held:
        known += " UNION ALL SELECT company_id FROM lake_company"
    companies, bids = connection.execute(
        f"SELECT count(DISTINCT company_id), count(*) FROM typed WHERE company_id NOT IN ({known})"
    ).fetchall()[0]
    return [f"bid: {bids} bids by {companies} companies that are not in the company table (kept)"] if companies else []


def restated_versions(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Versions that the lake holds and that are other ones now, of companies that have a newer one since.

    What is counted over later rows as well, or says when a version ended, was not known at the version's known_at.
    """
    names = [name for name in types_of(connection, "checked_company") if name not in (*COMPANY.key, REASON)]
    version = f"company_id, known_at, {{{', '.join(f'{literal(name)}: {quoted(name)}' for name in names)}}} AS facts"
    companies, restated = connection.execute(
        f"""
        WITH given AS (SELECT {version} FROM checked_company WHERE {REASON} IS NULL),
        held AS (SELECT {version} FROM lake_company_stood),
        newest AS (SELECT company_id, max(known_at) AS until FROM held GROUP BY company_id),
        grown AS (SELECT DISTINCT company_id FROM given JOIN newest USING (company_id) WHERE known_at > until),
        told AS (
            SELECT company_id, bool_or(given.facts IS NOT DISTINCT FROM held.facts) AS as_it_was
            FROM given JOIN held USING (company_id, known_at) SEMI JOIN grown USING (company_id)
            GROUP BY company_id, known_at
        )
        SELECT count(DISTINCT company_id), count(DISTINCT company_id) FILTER (NOT as_it_was) FROM told
        """
    ).fetchall()[0]
    if companies < GROWN_COMPANIES or 2 * restated <= companies:
        return []
    return [
        "company: of most companies with a new version an earlier one has changed with it: a fact that knows what came "
        "after its known_at? (docs/features.md)"
    ]


def restated(connection: duckdb.DuckDBPyConnection, name: str) -> list[str]:
    """Columns that say something else than before of most of what the lake holds of a table, as when a unit, a list of
    codes or an encoding is another one over night. A value that was missing is none of these."""
    key = TABLES[name].thing
    own = {*key, "known_at", "came", "late", "part"}
    there = types_of(connection, f"lake_{name}")
    columns = [column for column in types_of(connection, f"came_{name}") if column in there and column not in own]
    other = ", ".join(
        f"count_if(held.{quoted(column)} IS NOT NULL AND given.{quoted(column)} IS DISTINCT FROM held.{quoted(column)})"
        for column in columns
    )
    changed, *numbers = connection.execute(
        f"SELECT count(*), {other} FROM came_{name} AS given JOIN {_NEWEST[name]} AS held USING ({', '.join(key)})"
    ).fetchall()[0]
    total = _count(connection, _NEWEST[name]) if changed else 0
    found = [column for column, number in zip(columns, numbers, strict=True) if 2 * (number or 0) > total]
    if total < HELD or not found:
        return []
    return [
        f"{name}: most of the lake's {total} rows have another {', '.join(sorted(found))} now: a new unit, list of "
        "codes, encoding or column? They count as corrected, until the source is mended and read again"
    ]


def renamed(connection: duckdb.DuckDBPyConnection, since: datetime | None) -> dict[str, list[str]]:
    """Table -> a line, of notices or companies, if a source lacks most of what the lake holds, and gives as many others
    of that age: of all there is, or (UTC) since when it was asked for what may have changed.

    Raises ContractError (65) where it does of both.
    """
    found = {name: said for name in ("notice", "company") if (said := _others(connection, name, since))}
    if len(found) == 2:
        raise ContractError(
            f"{'; '.join(found.values())}: another market's tables?",
            hint="a home holds one market: set the source back, or use another home; bidrec ingest --force begins a "
            "lake of what the source gives",
        )
    return {
        name: [
            f"{said}: the same under other ids, or another's tables? The lake has both now; a copy from before undoes "
            "it, or bidrec ingest --force"
        ]
        for name, said in found.items()
    }


def _others(connection: duckdb.DuckDBPyConnection, name: str, since: datetime | None) -> str:
    key, time = TABLES[name].key[0], "published_at" if name == "notice" else "known_at"
    total, lacking, others = connection.execute(
        f"""
        WITH held AS (SELECT {key}, max({time}) AS {time} FROM lake_{name} WHERE {time} >= $since GROUP BY {key}),
        given AS (SELECT {key}, min({time}) AS {time} FROM checked_{name} WHERE {REASON} IS NULL GROUP BY {key})
        SELECT count(held.{key}), count(held.{key}) FILTER (given.{key} IS NULL), count(*) FILTER (
            held.{key} IS NULL AND given.{time} BETWEEN $since AND (SELECT max({time}) FROM held)
        )
        FROM held FULL JOIN given USING ({key})
        """,
        {"since": since or datetime.min.replace(tzinfo=UTC)},
    ).fetchall()[0]
    if total < HELD or 2 * lacking <= total or 2 * others <= total:
        return ""
    asked = f" since {since:%Y-%m-%d}" if since else ""
    return f"{name}: {lacking} of the lake's {total} ids{asked} are given no more, and {others} others as old are"


def _count(connection: duckdb.DuckDBPyConnection, rows: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {rows}").fetchall()[0][0])


def days_alone(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Openings of which the source knows the day and no more: read as its first moment, they come before they were."""
    clock = "(known_at AT TIME ZONE getvariable('zone'))"
    moments, midnights, bids = connection.execute(
        f"SELECT count(DISTINCT known_at), count_if({clock} = date_trunc('day', {clock})), count(*) FROM checked_bid"
    ).fetchall()[0]
    if moments < OPENINGS or midnights < 0.99 * bids:
        return []
    return [
        "bid: nearly every known_at is a midnight: of an opening whose day alone is known give the end of that day, or "
        "bids count before they are public (docs/tutorial.md)"
    ]


def at_night(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Offices that publish and open bids at night: in Asia, the sign of times in UTC that were read as clock times.

    In two states' tenders one opening in 70,000 is, and one publication in 9,000; read so, three to seven in ten. Where
    the zone's clock shows UTC, no such mistake can be made.
    """
    night = "(moment AT TIME ZONE getvariable('zone'))::TIME BETWEEN TIME '00:01' AND TIME '05:59'"  # days: midnights
    openings, apart, *shares = connection.execute(
        f"""
        WITH opening AS (SELECT DISTINCT known_at AS moment FROM checked_bid)
        SELECT count(*), bool_or(moment AT TIME ZONE getvariable('zone') <> moment AT TIME ZONE 'UTC'),
            avg(({night})::TINYINT),
            (SELECT avg(({night})::TINYINT) FROM (SELECT published_at AS moment FROM checked_notice))
        FROM opening
        """
    ).fetchall()[0]
    if openings < OPENINGS or not apart or not all(share and share > AT_NIGHT for share in shares):
        return []
    return [
        "bid: a fifth or more of the openings, and of the publications, are between midnight and six: times in UTC, "
        "read as the zone's clock times? (docs/lake.md)"
    ]


def notices(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """What all notices, beside all companies and bids, look odd by."""
    return [*_limits_nobody_meets(connection), *_currencies(connection), *_filled_in_later(connection)]


def _limits_nobody_meets(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Limits and companies in two different code lists: taken as they are, nobody could bid on those notices."""
    warnings = []
    for limit, held in (("region_limit", "[region]"), ("licence_limit", "licences")):
        named, met, holders = connection.execute(
            f"WITH named AS (SELECT DISTINCT unnest({limit}) AS item FROM checked_notice), "
            f"held AS (SELECT DISTINCT unnest({held}) AS item FROM checked_company) "
            "SELECT count(*), count_if(item IN (SELECT item FROM held WHERE item IS NOT NULL)), "
            "(SELECT count(item) FROM held) FROM named"
        ).fetchall()[0]
        if named and holders and not met:
            warnings.append(f"notice: no company meets any of the {named} values of {limit}: another list of codes?")
    return warnings


def _currencies(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Values in several currencies. A stray one does no harm: the model knows each notice's currency."""
    counted = connection.execute(
        "SELECT currency, count(*) FROM checked_notice WHERE value IS NOT NULL AND currency IS NOT NULL "
        "GROUP BY currency ORDER BY count(*) DESC, currency"
    ).fetchall()
    rows, others = sum(number for _, number in counted), counted[1:]
    elsewhere = sum(number for _, number in others)
    if elsewhere < max(1, 0.01 * rows):
        return []
    named = ", ".join(currency for currency, _ in others[:5]) + (", ..." if len(others) > 5 else "")
    return [
        f"notice: the values are in {counted[0][0]}, but in {named} in {elsewhere} of {rows} rows: sizes are compared "
        "as plain numbers"
    ]


def _filled_in_later(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Columns that speak of notices with a bid alone: a winner, the number of bidders, the price of the award.

    Read as known at the publication, they would make every figure too good to be true.
    """
    times = {column.name for column in NOTICE.columns if column.type == "TIMESTAMPTZ"}
    given = types_of(connection, "checked_notice")
    columns = {name: kind for name, kind in given.items() if name not in {*times, *NOTICE.key, REASON}}
    shares = ", ".join(f"avg(({_speaks(quoted(name), kind)})::TINYINT)" for name, kind in columns.items())
    with_bids = "SELECT DISTINCT notice_id FROM checked_bid"
    found = connection.execute(
        f"SELECT bid.notice_id IS NULL AS is_open, count(*), {shares} "
        f"FROM checked_notice LEFT JOIN ({with_bids}) AS bid USING (notice_id) GROUP BY is_open ORDER BY is_open"
    ).fetchall()
    if len(found) < 2 or found[1][1] < OPEN_NOTICES:
        return []
    spoken = zip(columns, found[0][2:], found[1][2:], strict=True)
    suspects = [name for name, opened, still_open in spoken if opened >= 0.5 and still_open <= 0.05]
    if not suspects:
        return []
    return [
        f"notice: only notices with a bid have a value of {', '.join(sorted(suspects))}: if it is filled in after the "
        "opening, no feature may read it (docs/features.md)"
    ]


def _speaks(column: str, kind: str) -> str:
    """SQL: whether the column says anything of a row. A number that is 0 may stand for one that is not known yet."""
    return f"coalesce({column} <> 0, false)" if is_number(kind) else f"{column} IS NOT NULL"
