"""An invented lake of the shape of a national one, for benchmarks/history.py: written by DuckDB alone.

Writes  HOME/lake: first ten years, then further days as parts of their own, a few of whose bids correct older ones

Companies bid with a skew of the real ones' kind (sigma of ln(bids) 1.2), ten to a notice; a day has bids / 3650 bids.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from bidrec.contract import TABLES
from bidrec.lake.parts import add_parts, copy_sorted, part_file
from bidrec.sql.words import literal
from bidrec.storage.sealed import read_manifest

DAYS = 3650
BIDDERS = 10
OPENING = 14
"""Days from a notice's publication to the opening of its bids."""
START = datetime(2015, 1, 1, tzinfo=UTC)
_CORRECTED = 50
"""One bid in so many of a later part corrects an older one."""

_MACROS = """
CREATE MACRO unit(a, b) AS (hash(a, b) % 1000000007) / 1000000007;
CREATE MACRO moment(day) AS TIMESTAMPTZ '2015-01-01 00:00:00+00' + to_microseconds((day * 86400e6)::BIGINT);
CREATE MACRO word(n, place) AS 'word' || floor(3000 * pow(unit(n, 'word' || place), 3))::INTEGER;
"""
_NOTICE = """
SELECT
    'N' || lpad(n::VARCHAR, 10, '0') AS notice_id,
    moment(n / $a_day) AS published_at,
    published_at + INTERVAL $opening DAYS AS closes_at,
    closes_at AS opened_at,
    word(n, 1) || ' ' || word(n, 2) || ' ' || word(n, 3) || ' ' || word(n, 4) || ' ' || word(n, 5) AS title,
    'B' || floor(8000 * pow(unit(n, 'buyer'), 2))::INTEGER AS buyer_id,
    'place ' || floor(250 * pow(unit(n, 'place'), 2))::INTEGER AS place,
    'category ' || floor(400 * pow(unit(n, 'category'), 2))::INTEGER AS category,
    exp(10 + 8 * unit(n, 'value')) AS value,
    published_at AS known_at
FROM range($first, $last) AS t(n)
"""
_BID = """
SELECT
    'N' || lpad(n::VARCHAR, 10, '0') AS notice_id,
    'C' || lpad(company::VARCHAR, 9, '0') AS company_id,
    moment(n / $a_day + $opening - 1) AS event_at,
    moment(n / $a_day + $opening) AS known_at,
    exp(10 + 8 * unit(n, 'value')) AS amount,
    min(place) = 0 AS won
FROM (
    SELECT n, place, floor($shares * unit(n, place))::BIGINT AS drawn
    FROM range($first, $last) AS t(n), range($bidders) AS p(place)
)
JOIN share ON share.rowid = drawn
GROUP BY n, company
"""


def write_first(home: Path, bids: int, companies: int) -> None:
    """Ten years as one part."""
    with _connection(companies) as connection:
        _write(connection, home, 1, 0, bids // BIDDERS, bids / BIDDERS / DAYS)


def add_days(home: Path, bids: int, companies: int, first: int, last: int) -> None:
    """The days first..last (exclusive) after the first ten years as one more part."""
    a_day = bids / BIDDERS / DAYS
    manifest = read_manifest(home / "lake")
    assert manifest is not None
    with _connection(companies) as connection:
        begin, end = (int((DAYS + day) * a_day) for day in (first, last))
        _write(connection, home, manifest["ingest"] + 1, begin, end, a_day)


def _connection(companies: int) -> duckdb.DuckDBPyConnection:
    """With `share`: a table in which each company stands as often as its share of the bids says."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; SET memory_limit = '6GB'")
    connection.execute(_MACROS)
    normal = "sqrt(-2 * ln(unit(c, 'u') + 1e-9)) * cos(2 * pi() * unit(c, 'v'))"
    shares = f"unnest(range(ceil(4 * exp(1.2 * {normal}))::BIGINT))"
    every = f"SELECT c AS company, {shares} FROM range({companies}) AS t(c)"
    connection.execute(f"CREATE TEMP TABLE share AS SELECT company FROM ({every})")
    return connection


def _write(connection: duckdb.DuckDBPyConnection, home: Path, number: int, first: int, last: int, a_day: float) -> None:
    staging = home / "staging"
    staging.mkdir(parents=True, exist_ok=True)
    shares = connection.execute("SELECT count(*) FROM share").fetchall()[0][0]
    given = {"$first": first, "$last": last, "$a_day": a_day, "$bidders": BIDDERS, "$opening": OPENING}
    given["$shares"] = shares
    before = read_manifest(home / "lake")
    read_at = START + timedelta(days=last / a_day)
    opened = {"$first": int(first - OPENING * a_day) if before else 0, "$last": int(last - OPENING * a_day)}
    rows = {}
    for table, sql, changed in (("notice", _NOTICE, {}), ("bid", _BID, opened)):
        for name, value in (given | changed).items():
            sql = sql.replace(name, str(value))
        if table == "bid" and before:
            sql += f" UNION ALL FROM ({_corrections(home, before['read_at'], last - first)})"
        canonical = ", ".join(
            f"CAST(NULL AS {column.type}) AS {column.name}" for column in TABLES[table].columns if not column.needed
        )
        every = f"SELECT * FROM ({sql}) UNION ALL BY NAME SELECT {canonical} WHERE false"
        copy_sorted(connection, TABLES[table], every, staging / part_file(table, number))
        rows[table] = connection.execute(
            f"SELECT count(*) FROM read_parquet({literal(str(staging / part_file(table, number)))})"
        ).fetchall()[0][0]
    if before is None:
        copy_sorted(connection, TABLES["company"], _no_companies(), staging / part_file("company", number))
        rows["company"] = 0
    reads = [*(before["ingests"] if before else []), {"ingest": number, "read_at": read_at.isoformat()}]
    add_parts(home / "lake", staging, number, rows, before, read_at=read_at.isoformat(), ingests=reads)


def _corrections(home: Path, read_at: str, bids: int) -> str:
    """Older bids whose outcome turns out the other way, a moment after the last reading."""
    return (
        f"SELECT notice_id, company_id, event_at, TIMESTAMPTZ '{read_at}' + INTERVAL 1 HOUR AS known_at, amount, "
        f"NOT won FROM read_parquet('{home}/lake/bid/000001.parquet') "
        f"ORDER BY hash(notice_id, company_id, '{read_at}') LIMIT {bids * BIDDERS // _CORRECTED}"
    )


def _no_companies() -> str:
    columns = ", ".join(f"CAST(NULL AS {column.type}) AS {column.name}" for column in TABLES["company"].columns)
    return f"SELECT {columns} WHERE false"
