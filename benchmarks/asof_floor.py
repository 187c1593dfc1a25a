"""What no as-of join can do without, as CPU seconds: the sources read once, keys and times sorted once.

Reads   the folder of asof_world.py; floor_copy also the answer of the api contender
Writes  nothing that is kept

floor_api   every column of the three files decoded once; (key, time, row) of both views and of the pairs, the pairs
            once by each key, sorted by DuckDB
floor_job   the columns of keys and times decoded once; versions and pairs as 64-bit integers, sorted by NumPy
floor_copy  the finished answer read and written once more: no join, only the bytes of pairs with their features copied
"""

from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np

from benchmarks import asof_world

KEYS = {
    "company": ("company_id", "known_at"),
    "notice": ("notice_id", "published_at"),
    "pairs": ("company_id", "notice_id", "event_timestamp"),
}
SORTED = [
    ("company", "company_id", "known_at"),
    ("notice", "notice_id", "published_at"),
    ("pairs", "company_id", "event_timestamp"),
    ("pairs", "notice_id", "event_timestamp"),
]


def _api(contender: str, folder: Path, memory_limit: str) -> Callable[[], None]:
    def question() -> None:
        with duckdb.connect() as connection:
            asof_world.limit(connection, folder, memory_limit)
            for name in KEYS:
                connection.sql(f"SELECT any_value(COLUMNS(*)) FROM '{folder}/{name}.parquet'").fetchall()
            for name, key, time in SORTED:
                connection.execute(
                    f"CREATE OR REPLACE TEMP TABLE sorted AS SELECT {key}, {time}, file_row_number "
                    f"FROM read_parquet('{folder}/{name}.parquet', file_row_number = true) ORDER BY ALL"
                )

    return question


def _job(contender: str, folder: Path, memory_limit: str) -> Callable[[], None]:
    random = np.random.default_rng(0)
    keys = [random.integers(0, 2**62, _rows(folder / f"{name}.parquet")) for name in ("company", "pairs")]

    def question() -> None:
        with duckdb.connect() as connection:
            asof_world.limit(connection, folder, memory_limit)
            for name, columns in KEYS.items():
                read = ", ".join(f"any_value({column})" for column in columns)
                connection.sql(f"SELECT {read} FROM '{folder}/{name}.parquet'").fetchall()
        for numbers in keys:
            numbers.sort()

    return question


def _copy(contender: str, folder: Path, memory_limit: str) -> Callable[[], None]:
    def question() -> None:
        with duckdb.connect() as connection:
            asof_world.limit(connection, folder, memory_limit)
            connection.execute("SET preserve_insertion_order = false")
            connection.execute(
                f"COPY (SELECT * FROM '{folder}/api.parquet') TO '{folder}/copy.parquet' (COMPRESSION snappy)"
            )
        (folder / "copy.parquet").unlink()

    return question


def _rows(file: Path) -> int:
    return duckdb.sql(f"SELECT count(*) FROM '{file}'").fetchall()[0][0]


CONTENDERS = {"floor_api": _api, "floor_job": _job, "floor_copy": _copy}
