"""The Parquet files of a view: which they are, that they agree on their types, that they stay as they are.

Reads   the footers of a file, of a folder or of a pattern of files; their inode, size and time of change
Writes  nothing

DuckDB takes the types of several files from the first and casts the others, so 2.5 would be read as 2 where the first
file has whole numbers. Here a column has one type in all files, or the question is refused. So it is where a column has
the name by which DuckDB numbers a file's rows.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob

import duckdb

from bidrec.contract import ROW_OF_FILE
from bidrec.errors import ContractError, InputMissing, Interrupted
from bidrec.sql.words import first_line, literal, types_of


@dataclass(frozen=True)
class ParquetFiles:
    """The files of a view as found at one moment."""

    of: str
    """Whose they are, for messages."""
    names: tuple[str, ...]
    """Absolute, sorted."""
    kinds: dict[str, dict[str, str]]
    """One file of each set of columns that occurs -> its columns' DuckDB types."""

    @property
    def types(self) -> dict[str, str]:
        """Of the first file."""
        return next(iter(self.kinds.values()))

    def refuse_missing(self, columns: Iterable[str]) -> None:
        """Raise ContractError (65) where the first file lacks one of the columns."""
        for column in columns:
            if column not in self.types:
                raise ContractError(
                    f"{self.of}: {next(iter(self.kinds))} has no column {column!r}",
                    hint="see the view's schema; bidrec train or write-back makes anew what an earlier bidrec made",
                )

    def refuse_changed_types(self, columns: Iterable[str]) -> None:
        """Raise ContractError (65) where one of the columns is missing in a file or has another type than in the first.

        The columns are those of the first file.
        """
        first = next(iter(self.kinds))
        for column in columns:
            for file, types in self.kinds.items():
                if types.get(column) != self.types[column]:
                    other = f"{types[column]} in {file}" if column in types else f"missing in {file}"
                    raise ContractError(
                        f"{self.of}: column {column!r} is {self.types[column]} in {first} but {other}",
                        hint="write the files again with one type for each column",
                    )


def find(connection: duckdb.DuckDBPyConnection, of: str, path: str) -> ParquetFiles:
    """The files behind a path: a file, a folder, a pattern. of: whose they are, for messages. Where the folder is
    replaced meanwhile, they are looked for again.

    Raises InputMissing (66) where there is none, or one cannot be read; ContractError (65) where a row could not be
    told by its place, because a column has the name that DuckDB gives to it.
    """
    listed = sorted(glob(path))
    try:
        alike = connection.execute(
            "SELECT list(file_name ORDER BY file_name) AS files FROM (SELECT file_name, "
            "list((name, duckdb_type, logical_type, num_children) ORDER BY column_id) AS columns "
            f"FROM parquet_schema({literal(path)}) GROUP BY file_name) GROUP BY columns ORDER BY files"
        ).fetchall()
        kinds = {
            files[0]: types_of(connection, f"(SELECT * FROM read_parquet({literal(files[0])}))") for (files,) in alike
        }
    except duckdb.Error as error:
        if sorted(glob(path)) != listed:
            return find(connection, of, path)
        raise InputMissing(f"{of}: cannot read {path}: {first_line(error)}") from error
    for file, types in kinds.items():
        if hidden := {column.lower() for column in types} & {*ROW_OF_FILE}:
            raise ContractError(
                f"{of}: {file} has a column {', '.join(sorted(hidden))}, DuckDB's name of a row's place",
                hint="write the file again with another name for it",
            )
    return ParquetFiles(of, tuple(sorted(file for (files,) in alike for file in files)), kinds)


@contextmanager
def unchanged(files: Iterable[str]) -> Iterator[None]:
    """Around a reading that finds rows and takes them by their number: they must be of one file.

    Raises Interrupted (75), at the end, where a file was written again meanwhile, or at once where it is gone.
    """
    before = {file: _stamp(file) for file in files}
    unread: InputMissing | None = None
    try:
        yield
    except InputMissing as error:
        unread = error
    changed = sorted(file for file, stamp in before.items() if stamp is None or _stamp(file) != stamp)
    if changed:
        raise Interrupted(f"{changed[0]} changed while it was read", hint="ask again") from unread
    if unread:
        raise unread


def is_readable(file: str) -> bool:
    """Whether every page of the file can be read. DuckDB does not always name the file that it cannot read."""
    try:
        with duckdb.connect() as connection:
            connection.execute(f"SELECT any_value(COLUMNS(*)) FROM read_parquet({literal(file)})").fetchall()
    except duckdb.Error:
        return False
    return True


def _stamp(file: str) -> tuple[int, int, int] | None:
    """What changes when a file is written again or replaced; None for one that is not there."""
    try:
        found = os.stat(file)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
