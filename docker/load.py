"""KONEPS-shaped dumps into PostgreSQL: python load.py FOLDER

Reads   FOLDER/notice, FOLDER/company, FOLDER/bid: Parquet, as `bidrec simulate` writes it
Writes  at the address in BIDREC_SOURCE_URL the tables notice, company and bid anew
"""

import os
import sys
from pathlib import Path

import pyarrow.dataset
from adbc_driver_postgresql import dbapi


def main(folder: str) -> None:
    with dbapi.connect(os.environ["BIDREC_SOURCE_URL"]) as connection, connection.cursor() as cursor:
        for table in ("notice", "company", "bid"):
            rows = pyarrow.dataset.dataset(Path(folder) / table, format="parquet").scanner().to_reader()
            print(table, cursor.adbc_ingest(table, rows, mode="replace"), "rows", file=sys.stderr)
        connection.commit()


if __name__ == "__main__":
    main(sys.argv[1])
