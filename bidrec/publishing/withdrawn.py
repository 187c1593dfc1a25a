"""What was published once and is not any more, as rows without values: nobody is to meet its old ones.

Reads   published/, the versions that are kept
Returns the rows of <table>.withdrawn.parquet, which Feast's views read together with <table>.parquet

Feast deletes no row from an online store and compares no times in it. A row that is written later and holds nothing
does what a deletion would: the key reads as None, and a vector search passes over it.
"""

from collections.abc import Collection
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa


def versions(published: Path) -> list[Path]:
    """The folders of the versions that are kept, oldest first."""
    return sorted(one for one in published.glob("*/") if not one.is_symlink() and not one.name.startswith("."))


def withdrawn(name: str, table: pa.Table, published: Path, written_at: datetime, erased: Collection[str]) -> pa.Table:
    """Rows, with the columns of `table`, of every key that a kept version knows and `table` does not; all else is NULL.

    The first column is the key; `written_at` (UTC) is when they are withdrawn. Of all kept versions, not of the current
    one alone: a link that was set back by hand, or points at nothing, takes no key from what is online. Their withdrawn
    keys are carried on: an online store that missed a publication has them still. erased: keys that are not.
    """
    ids = _gone(name, table, published, erased)
    moment = pa.scalar(written_at, table.schema.field("written_at").type)
    empty = {field.name: pa.nulls(len(ids), field.type) for field in table.schema}
    return pa.table(
        empty | {table.column_names[0]: ids, "written_at": pa.repeat(moment, len(ids))}, schema=table.schema
    )


def _gone(name: str, table: pa.Table, published: Path, erased: Collection[str]) -> pa.Array:
    """Keys of both of the earlier files of each version, sorted, less those of `table` and the erased."""
    files = [str(file) for version in versions(published) for file in version.glob(f"{name}*.parquet")]
    key = table.column_names[0]
    if not files:
        return pa.array([], table.schema.field(key).type)
    with duckdb.connect() as connection:
        connection.register("present", table.select([key]))
        gone = connection.execute(
            f"SELECT DISTINCT {key} FROM read_parquet(?) ANTI JOIN present USING ({key}) "
            f"WHERE {key} NOT IN (SELECT unnest(?::VARCHAR[])) ORDER BY {key}",
            [files, [*erased]],
        )
        return gone.to_arrow_table()[key].combine_chunks()
