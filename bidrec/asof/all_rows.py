"""Every row of a source in a stretch of time: saved datasets, and what Feast materializes where it chooses itself.

Reads   the Parquet files of one source
Writes  nothing

Feast's own store looks for a relative path in the working directory, where it writes it to the repository, and knows no
folders.
"""

from collections.abc import Sequence
from datetime import datetime

import ibis
from feast.infra.offline_stores.duckdb import _write_data_source
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.ibis import pull_all_from_table_or_query_ibis
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.repo_config import RepoConfig

from bidrec.asof.files import find
from bidrec.asof.job import Limits


def all_rows(
    config: RepoConfig,
    source: FileSource,
    path: str,
    columns: Sequence[str],
    timestamp_field: str,
    start: datetime | None,
    end: datetime | None,
    limits: Limits,
) -> RetrievalJob:
    """A lazy job: the columns of every row from start to end, both included (None: no end).

    Raises InputMissing (66) where the files cannot be read, ContractError (65) where they lack a column or differ in
    one's type.
    """
    with limits.connect() as connection:
        files = find(connection, source.name, path)
    files.refuse_missing([*columns, timestamp_field])
    files.refuse_changed_types([*columns, timestamp_field])
    return pull_all_from_table_or_query_ibis(
        config=config,
        data_source=source,
        join_key_columns=[],
        feature_name_columns=list(columns),
        timestamp_field=timestamp_field,
        data_source_reader=lambda *_: ibis.read_parquet(list(files.names)),
        data_source_writer=_write_data_source,
        start_date=start,
        end_date=end,
    )
