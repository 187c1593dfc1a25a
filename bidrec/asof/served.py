"""The log of features that were served: a folder of Parquet files, each written whole. `feast validate` reads it.

Reads   the log, from one moment to another
Writes  a file of it for each call of store.write_logged_features

Feast's own store wants the folder to be there, leaves half a file where it is killed, cannot read files of before and
after a feature was added, and calls a stretch of time valid in which nothing was served.
"""

from datetime import datetime
from pathlib import Path
from uuid import uuid4

import duckdb
import ibis
import pyarrow as pa
from feast.feature_logging import LOG_TIMESTAMP_FIELD
from feast.infra.offline_stores.duckdb import _write_data_source
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.ibis import pull_all_from_table_or_query_ibis
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.repo_config import RepoConfig
from ibis.common.exceptions import IbisError
from pyarrow import parquet

from bidrec.errors import InputMissing
from bidrec.sql.words import first_line
from bidrec.storage.whole import whole_file


def log_served(folder: Path, rows: pa.Table | Path) -> None:
    """rows: a table, or a Parquet file or a folder of such. Raises CannotWrite (73)."""
    table = rows if isinstance(rows, pa.Table) else parquet.read_table(rows)
    target = folder / f"{uuid4().hex}.parquet"
    with whole_file(target) as partial:
        parquet.write_table(table, partial)


def served_between(
    config: RepoConfig, log: FileSource, columns: list[str], start: datetime | None, end: datetime | None
) -> RetrievalJob:
    """A lazy job: the rows served from start to end, both included (naive: UTC); a feature added since is missing.

    Raises InputMissing (66) where there are none, or where the log cannot be read.
    """
    try:
        job = pull_all_from_table_or_query_ibis(
            config=config,
            data_source=log,
            join_key_columns=[],
            feature_name_columns=columns,
            timestamp_field=LOG_TIMESTAMP_FIELD,
            data_source_reader=_read,
            data_source_writer=_write_data_source,
            start_date=start,
            end_date=end,
        )
        nothing = job.table.limit(1).to_pyarrow().num_rows == 0
    except (duckdb.Error, IbisError) as error:
        raise InputMissing(
            f"cannot read the log {log.path}: {first_line(error)}",
            hint="store.write_logged_features writes it; see docs/feast.md",
        ) from error
    if nothing:
        raise InputMissing(
            f"nothing was logged in {log.path} from {start} to {end}", hint="a time without an offset is a local one"
        )
    return job


def _read(log: FileSource, _: str) -> ibis.Table:
    return ibis.read_parquet(f"{log.path.removeprefix('file://')}/*.parquet", union_by_name=True)
