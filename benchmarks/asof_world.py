"""Invented pairs, notices and company versions of the shape of real ones, for benchmarks/asof.py.

Writes  FOLDER/pairs.parquet  company_id, notice_id, event_timestamp (the notice's publication)
        FOLDER/notice.parquet  one row a notice: 8 numbers, a text, a list of ten ids; sorted by publication
        FOLDER/company.parquet  one row a version: the same kinds of features; sorted by company and known_at
        FOLDER/partN/  the same three files, of some of the companies

Each pair is a bid and becomes a version of its company 20 days later, at the opening.
"""

from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

NUMBERS = 8
SECONDS = 10 * 365 * 86400
SKEW = 0.7
"""Sigma of ln(bids of a company). A pair's company has exp(sigma^2) times the average number of bids, on average: 1.6
here, 9.5 at the 1.5 of GePNIC's companies, where the stock store would make almost six times as many rows."""
MEMORY = "4GB"
"""DuckDB's, for whatever is not measured."""

_COMPANY = "lpad((c * 7919)::VARCHAR, 10, '0') AS company_id"
_NOTICE = "'N' || lpad(n::VARCHAR, 9, '0') AS notice_id"
_PUBLISHED = "TIMESTAMPTZ '2015-01-01 00:00:00+00' + to_seconds(published)"


def write(folder: Path, pairs: int, versions: int) -> dict[str, int]:
    """Returns companies, company_versions and notices as written."""
    with duckdb.connect() as connection:
        limit(connection, folder)
        connection.register("bid", _bids(pairs, versions))
        connection.execute(
            f"""
            CREATE TEMP TABLE version AS
            SELECT DISTINCT {_COMPANY}, {_PUBLISHED} + INTERVAL 20 DAYS AS known_at FROM bid;
            CREATE TEMP TABLE notice AS SELECT DISTINCT {_NOTICE}, {_PUBLISHED} AS published_at FROM bid;
            COPY (SELECT {_COMPANY}, {_NOTICE}, {_PUBLISHED} AS event_timestamp FROM bid)
            TO '{folder}/pairs.parquet' (FORMAT parquet);
            COPY (SELECT *, {_features("company_id || known_at", "company")} FROM version ORDER BY company_id, known_at)
            TO '{folder}/company.parquet' (FORMAT parquet, COMPRESSION zstd);
            COPY (SELECT *, {_features("notice_id", "notice")} FROM notice ORDER BY published_at, notice_id)
            TO '{folder}/notice.parquet' (FORMAT parquet, COMPRESSION zstd);
            """
        )
        companies, company_versions = connection.sql(
            "SELECT count(DISTINCT company_id), count(*) FROM version"
        ).fetchall()[0]
        notices = connection.sql("SELECT count(*) FROM notice").fetchall()[0][0]
    return {"companies": companies, "company_versions": company_versions, "notices": notices}


def split(folder: Path, parts: int) -> list[Path]:
    """Folders that each hold the pairs and versions of as many companies, and all notices."""
    found = []
    with duckdb.connect() as connection:
        limit(connection, folder)
        last = connection.sql(f"SELECT max(company_id) FROM '{folder}/pairs.parquet'").fetchall()[0][0]
        bounds = [f"{part * (int(last) + 1) // parts:010d}" for part in range(parts + 1)]
        for part, (low, high) in enumerate(pairwise(bounds)):
            target = folder / f"part{part}"
            target.mkdir()
            (target / "notice.parquet").symlink_to(folder / "notice.parquet")
            for name in ("pairs", "company"):
                connection.execute(
                    f"COPY (FROM '{folder}/{name}.parquet' WHERE company_id >= '{low}' AND company_id < '{high}') "
                    f"TO '{target}/{name}.parquet' (FORMAT parquet, COMPRESSION zstd)"
                )
            found.append(target)
    return found


def limit(connection: duckdb.DuckDBPyConnection, folder: Path, memory_limit: str = MEMORY) -> None:
    """What DuckDB may use: beyond it it spills to the folder."""
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"SET memory_limit = '{memory_limit}'")
    connection.execute(f"SET temp_directory = '{folder}/spill'")


def names(view: str) -> tuple[list[str], str, str]:
    """The columns of a view's features: numbers, the text, the list."""
    return [f"{view}_number{place}" for place in range(NUMBERS)], f"{view}_kind", f"{view}_ids"


def _bids(pairs: int, versions: int) -> pa.Table:
    random = np.random.default_rng(0)
    companies, notices = max(1, pairs // versions), max(1, pairs // 10)
    weights = random.lognormal(0, SKEW, companies)
    company = random.permutation(companies)[random.choice(companies, pairs, p=weights / weights.sum())]
    published = np.sort(random.integers(0, SECONDS, notices))
    notice = random.integers(0, notices, pairs)
    return pa.table({"c": company, "n": notice, "published": published[notice]})


def _features(key: str, view: str) -> str:
    numbers, kind, ids = names(view)
    columns = [f"(hash({key}, {place}) % 100000) / 7.0 AS {name}" for place, name in enumerate(numbers)]
    columns.append(f"'kind ' || hash({key}, 'kind') % 50 AS {kind}")
    columns.append(f"list_transform(range(10), lambda x: (hash({key}, x, 'id') % 90000)::BIGINT) AS {ids}")
    return ", ".join(columns)
