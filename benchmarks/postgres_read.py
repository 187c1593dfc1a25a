"""Reading 1 M bids from PostgreSQL: time and peak memory, ADBC into Parquet beside DuckDB's postgres extension.

    python -m benchmarks.postgres_read [--bids 1000000] [--extension DIR/postgres_scanner.duckdb_extension]

Starts its own server (`tests/postgres.py`) and fills it; each reader runs in a process of its own. The whole ingest of
those tables is measured too, and a second one, `again`, in the home of the first, which finds nothing new.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.process import peak_mib

FILL = """
CREATE TABLE notice AS SELECT
    (20240000000 + n)::text AS bidntceno, '000' AS bidntceord, t AS bidntcedt, t AS rgstdt,
    t + interval '10 days' AS bidclsedt, t + interval '10 days' AS opengdt, '도로 포장 공사 ' || n AS bidntcenm,
    (n % 900)::text AS ntceinsttcd, '경기도 수원시' AS ntceinsttnm, (n % 900)::text AS dminsttcd,
    '수원시 도로과' AS dminsttnm, '전자입찰' AS bidmethdnm, '제한경쟁' AS cntrctcnclsmthdnm,
    '적격심사제' AS sucsfbidmthdnm, 1000000::bigint + n AS presmptprce
FROM generate_series(0, {notices} - 1) n, LATERAL (SELECT timestamp '2020-01-01' + n * interval '20 minutes' AS t) s;
CREATE TABLE company AS SELECT
    lpad(n::text, 10, '0') AS bizno, timestamp '2015-01-01' AS rgstdt, '가나건설' || n AS corpnm, '41' AS rgncd,
    '경기도 수원시' AS rgnnm, 10 AS emplyenum, '1,2' AS corpbsnsdivcd
FROM generate_series(0, 29999) n;
CREATE TABLE bid AS SELECT
    (20240000000 + n / 10)::text AS bidntceno, '000' AS bidntceord, lpad((n::bigint * 7919 % 30000)::text, 10, '0')
    AS bidprccorpbizrno, 900000::bigint + n AS bidprcamt, n % 10 + 1 AS opengrank,
    CASE WHEN n % 10 = 0 THEN 'Y' ELSE 'N' END AS sucsfyn, d::date AS bidprcdate, d::time AS bidprctm,
    '' AS dqlfctnrsn, timestamp '2025-06-01' AS collected_at
FROM generate_series(0, {bids} - 1) n,
LATERAL (SELECT timestamp '2020-01-10' + (n / 10) * interval '20 minutes' AS d) s;
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bids", type=int, default=1_000_000)
    parser.add_argument("--extension", default="")
    parser.add_argument("--read", nargs=3, metavar=("READER", "URL", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        reader, url, folder = options.read
        measure(reader, url, Path(folder), options.extension)
        return
    import psycopg

    from tests import postgres

    readers = ["nothing", "adbc", "ingest", "again"] + (["extension"] if options.extension else [])
    with postgres.server() as server, tempfile.TemporaryDirectory(prefix="bidrec-postgres-read-") as folder:
        with psycopg.connect(server.url) as connection:
            connection.execute(FILL.format(bids=options.bids, notices=options.bids // 10))
        for reader in readers:
            command = [sys.executable, "-m", "benchmarks.postgres_read", "--extension", options.extension]
            home = f"{folder}/{'ingest' if reader == 'again' else reader}"
            subprocess.run([*command, "--read", reader, server.url, home], check=True)


def measure(reader: str, url: str, folder: Path, extension: str) -> None:
    """Read in this process and print what it took. `nothing` only imports, to be subtracted."""
    import adbc_driver_postgresql.dbapi  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    from bidrec import sources  # noqa: F401

    folder.mkdir(exist_ok=True)
    before = _bytes(folder)
    started, worked = time.monotonic(), time.process_time()
    readers = {"nothing": lambda *_: None, "adbc": adbc, "ingest": ingest, "again": ingest, "extension": attach}
    readers[reader](url, folder, extension)
    seconds, worked = time.monotonic() - started, time.process_time() - worked
    size = _bytes(folder) - before
    print(
        f"{reader:<10} {seconds:6.1f} s  CPU {worked:6.1f} s  peak {peak_mib():6} MiB  {size / 2**20:6.1f} MiB written",
        flush=True,
    )


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def adbc(url: str, folder: Path, extension: str) -> None:
    from bidrec.sources import load_definition, postgres

    postgres.fetch(url, "public", load_definition("koneps"), folder)


def ingest(url: str, folder: Path, extension: str) -> None:
    from bidrec.config import Config, Source
    from bidrec.lake.ingest import ingest as run
    from bidrec.operations import log

    log.configure(json_lines=True)
    run(Config(home=str(folder), source=Source(name="koneps", url=url)))


def attach(url: str, folder: Path, extension: str) -> None:
    import duckdb

    with duckdb.connect(config={"allow_unsigned_extensions": "true"}) as connection:
        connection.execute(f"LOAD '{extension}'")
        connection.execute(f"ATTACH '{url}' AS server (TYPE postgres, READ_ONLY)")
        for table in ("notice", "company", "bid"):
            connection.execute(f"COPY server.public.{table} TO '{folder}/{table}.parquet' (COMPRESSION zstd)")


if __name__ == "__main__":
    main()
