"""Rows that are added to a source: what store.push and store.write_to_offline_store do.

Reads   the one Parquet file of a source
Writes  the same, with the new rows last, whole or not at all

The as-of join takes the last of the rows that are equal in all times, so what is added must come last, where Feast's
DuckDB store puts it first.
"""

import fcntl
import glob
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from bidrec.errors import ConfigurationError, ContractError, InputMissing
from bidrec.sql.words import first_line
from bidrec.storage.whole import whole_file


def append(of: str, file: Path, rows: pa.Table, names: Mapping[str, str]) -> None:
    """of: whose file it is, for messages. names: of a column of the rows, where the file has another one for it.

    Raises ConfigurationError (64) where it is a folder or a pattern, InputMissing (66) where it cannot be read,
    ContractError (65) where a column has another type, CannotWrite (73).
    """
    if file.is_dir() or (glob.has_magic(str(file)) and not file.exists()):
        raise ConfigurationError(
            f"{of}: {file} is no single file", hint="bidrec makes its own; of yours, write another one beside them"
        )
    with _alone(file):
        try:
            stored = parquet.ParquetFile(file)
        except (OSError, pa.ArrowException) as error:
            raise InputMissing(f"{of}: cannot read {file}: {first_line(error)}") from error
        _write(of, file, stored, rows.rename_columns([names.get(name, name) for name in rows.column_names]))


def _write(of: str, file: Path, stored: parquet.ParquetFile, rows: pa.Table) -> None:
    with stored:
        schema = stored.schema_arrow
        try:
            added = rows.select(schema.names).cast(schema)
        except (KeyError, ValueError, pa.ArrowException) as error:
            raise ContractError(f"{of}: {first_line(error)}", hint=f"the rows need the columns of {file}") from error
        with whole_file(file) as partial, parquet.ParquetWriter(partial, schema, compression="snappy") as writer:
            for batch in stored.iter_batches():
                writer.write_batch(batch)
            writer.write_table(added)


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Who adds to a file of this folder meanwhile waits: the file is read, and written again with more in it."""
    try:
        descriptor = os.open(file.parent, os.O_RDONLY)
    except FileNotFoundError:
        yield  # the file is missing too, which is told
        return
    try:
        with suppress(OSError):  # NFS locks no folders: there, one at a time is up to the caller
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
