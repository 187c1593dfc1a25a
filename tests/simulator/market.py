"""One small simulated market that the tests of this folder share, and views of its dumps."""

from functools import cache
from pathlib import Path

import duckdb

from tests.simulated import simulated

NOTICES, COMPANIES, BIDS, DAYS = 3_000, 500, 25_000, 400


def folder() -> Path:
    return simulated(notices=NOTICES, companies=COMPANIES, bids=BIDS, days=DAYS, seed=3)


@cache
def dumps() -> duckdb.DuckDBPyConnection:
    """Views notice, company, bid, and oracle_notice, oracle_company, oracle_segment."""
    connection = duckdb.connect()
    for table in ("notice", "company", "bid"):
        connection.execute(f"CREATE VIEW {table} AS SELECT * FROM '{folder()}/{table}/*.parquet'")
    connection.execute(f"CREATE VIEW oracle_notice AS SELECT * FROM '{folder()}/oracle/notice/*.parquet'")
    connection.execute(
        "CREATE VIEW oracle_company AS SELECT *, lpad(ident::VARCHAR, 10, '0') AS bizno, "
        f"file_row_number AS row FROM read_parquet('{folder()}/oracle/company.parquet', file_row_number = true)"
    )
    connection.execute(f"CREATE VIEW oracle_segment AS SELECT * FROM '{folder()}/oracle/segment.parquet'")
    return connection


def one(sql: str) -> tuple:
    """The single row of a query over the dumps."""
    row = dumps().execute(sql).fetchone()
    assert row is not None
    return row
