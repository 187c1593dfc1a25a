"""Raw tables from a folder of dumps: CSV (UTF-8 or CP949, file by file) or Parquet.

Reads   FOLDER/notice.csv, notice.parquet, notice-2024.csv.gz, notice/**/*.parquet ... of each raw table
Writes  UTF-8 copies of the CP949 files, in the ingest's staging folder

Every CSV column is read as text: whether it is a number or a time is checked by `raw.py`, where a bad one is counted.
"""

import codecs
import csv
import glob
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import duckdb
from pyarrow import parquet

from bidrec.errors import ConfigurationError, ContractError, InputMissing
from bidrec.sources.definition import RawTable
from bidrec.sql.words import first_line, literal
from bidrec.storage.sealed import fingerprint

ENDINGS = (".parquet", ".csv", ".csv.gz")
_BLOCK = 1 << 20


def files_of(folder: Path, raw: RawTable) -> list[Path]:
    """The files of one raw table, sorted.

    Raises InputMissing (66) if there is none or all are empty, ContractError (65) if there are CSV and Parquet ones,
    ConfigurationError (64) for a table that no file can be named by.
    """
    if not raw.table or Path(raw.table).name != raw.table:
        raise ConfigurationError(
            f"[raw.{raw.name}]: {raw.table!r} is no name of a file", hint="set table in source.toml"
        )
    if not folder.is_dir():
        raise InputMissing(
            f"source.path {folder} is not a folder",
            hint="name the folder that holds the dumps, one file or folder per table",
        )
    name = glob.escape(raw.table)
    found = sorted(
        file
        for pattern in (f"{name}.*", f"{name}-*", f"{name}/**/*")
        for file in folder.glob(pattern)
        if file.is_file() and file.name.lower().endswith(ENDINGS)
    )
    if not found:
        there = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
        shown = ", ".join(there[:5]) + (", ..." if len(there) > 5 else "")
        raise InputMissing(
            f"no {raw.table}.csv, {raw.table}.parquet, {raw.table}-*.csv (or .parquet) or {raw.table}/ in {folder}",
            hint=f"there: {shown or 'nothing'}; set table in source.toml to the files' name",
        )
    found = [file for file in found if file.stat().st_size]
    if not found:
        raise InputMissing(f"the dump of {raw.table} in {folder} is empty")
    if len({file.name.lower().endswith(".parquet") for file in found}) > 1:
        raise ContractError(
            f"{raw.table} is in {folder} as CSV and as Parquet", hint="keep one, or every row would come twice"
        )
    return found


def relation(connection: duckdb.DuckDBPyConnection, raw: RawTable, files: list[Path], staging: Path) -> str:
    """SQL, in brackets, for the rows of the raw table's files; CP949 ones are converted first, into `staging`.

    Raises ContractError (65) on a file that cannot be read, or lacks a column that it needs and another one has.
    """
    columns: dict[Path, Sequence[str]] = {}
    by_header: dict[tuple[str, tuple[str, ...]], list[Path]] = {}
    if not files[0].name.lower().endswith(".parquet"):
        for file in files:
            readable = _utf8(file, staging)
            header = _header(readable)
            columns[file] = header[1]
            by_header.setdefault(header, []).append(readable)

    def rows(folders_too: bool) -> str:
        if by_header:
            return " UNION ALL BY NAME ".join(_csv(*one, same, folders_too) for one, same in by_header.items())
        return f"SELECT * FROM read_parquet([{_listed(files)}], union_by_name = true{_hive(folders_too)})"

    try:
        sql = rows(folders_too=False)
        own = {name.lower() for name, *_ in connection.execute(f"SELECT * FROM ({sql}) LIMIT 0").description or ()}
        # Of a column that is in both, DuckDB would take what the folder says.
        if (named := _named_by_folders(files)) and not named & own:
            sql = rows(folders_too=True)
            connection.execute(f"SELECT * FROM ({sql}) LIMIT 0")
    except duckdb.Error as error:
        text = f"cannot read {_names(files)}: {first_line(error)}"
        raise ContractError(text, hint="was it copied whole?") from error
    _require_alike(raw, columns or {file: parquet.read_schema(file).names for file in files})
    return f"({sql})"


def _require_alike(raw: RawTable, columns: Mapping[Path, Sequence[str]]) -> None:
    """What no file has is `raw.py`'s to refuse. What some lack would be NULL in their rows."""
    names = {file: {name.lower() for name in there} for file, there in columns.items()}
    somewhere = set().union(*names.values())
    for file, there in names.items():
        missing = [name for name in raw.columns if name.lower() in somewhere - there]
        if missing:
            raise ContractError(
                f"{file} has no column {', '.join(missing)}, which other files of the table {raw.table} have",
                hint="declare it under optional in source.toml if a file may lack it",
            )


def _header(file: Path) -> tuple[str, tuple[str, ...]]:
    """(delimiter, column names) of a UTF-8 CSV file."""
    with _open(file) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as lines:
        first = lines.readline(_BLOCK)
    delimiter = max(",\t;|", key=first.count)  # the comma, where there is only one column
    try:
        names = tuple(name.strip() for name in next(csv.reader([first], delimiter=delimiter), []))
    except csv.Error as error:
        raise ContractError(f"{file} does not begin with a line of column names: {error}") from error
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ContractError(
            f"{file} has a column twice: {', '.join(sorted(twice))}", hint="its first line gives the columns' names"
        )
    return delimiter, names


def _csv(delimiter: str, header: tuple[str, ...], files: list[Path], folders_too: bool) -> str:
    """SELECT of files with the same header, every column as text.

    Nothing is left for DuckDB to detect: a broken line would lead it to another delimiter, and it takes lines that
    begin with # for comments.
    """
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in header)
    # \N is how PostgreSQL's COPY writes NULL.
    return (
        f"SELECT * FROM read_csv([{_listed(files)}], auto_detect = false, header = true, columns = {{{columns}}}, "
        f"delim = '{delimiter}', quote = '\"', escape = '\"', nullstr = ['', '\\N']{_hive(folders_too)})"
    )


def _listed(files: list[Path]) -> str:
    return ", ".join(literal(str(file)) for file in files)


def _named_by_folders(files: list[Path]) -> set[str]:
    """The columns, in small letters, that folders like `date=2024-05-01` name, as Spark and Hive write them."""
    return {part.partition("=")[0].lower() for file in files for part in file.parent.parts if "=" in part}


def _hive(folders_too: bool) -> str:
    return "" if folders_too else ", hive_partitioning = false"


def _utf8(file: Path, staging: Path) -> Path:
    """The file itself if it is UTF-8 (with or without a byte order mark), else its CP949 text in UTF-8."""
    broken = _first_error(file, "utf-8")
    if broken is None:
        return file
    target = staging / f"{fingerprint(str(file))}.csv"  # files of two folders may share a name
    with target.open("wb") as out:
        also_broken = _first_error(file, "cp949", out)
    if also_broken is None and _is_korean(file):
        return target
    korean = "Korean in CP949" if also_broken is None else f"CP949 (byte {also_broken} is not)"
    raise ContractError(
        f"{file} is neither UTF-8 (byte {broken} is not) nor {korean}",
        hint="another encoding, such as Windows-1251 or UTF-16, or two in one file? write it again in UTF-8",
    )


def _is_korean(file: Path) -> bool:
    """Whether the file's beginning, taken for CP949, has more Hangul than Hanja.

    Two accented or Cyrillic letters in a row, of Latin-1 or Windows-1251, are a character of CP949 as well: a Hanja.
    """
    with _open(file) as stream:
        text = stream.read(_BLOCK).decode("cp949", "ignore")
    return len(re.findall("[가-힣]", text)) >= len(re.findall("[一-鿿豈-﫿]", text))


def _first_error(file: Path, encoding: str, out: IO[bytes] | None = None) -> int | None:
    """Offset of the first byte that is not `encoding`; None if all are. Decoded text goes to `out` as UTF-8.

    Reads block by block: a dump may be larger than memory.
    """
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    offset = 0
    with _open(file) as stream:
        while True:
            block = stream.read(_BLOCK)
            waiting = len(decoder.getstate()[0])  # bytes of a character that the last block cut in two
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                return offset - waiting + error.start
            if out:
                out.write(text.encode())
            if not block:
                return None
            offset += len(block)


@contextmanager
def _open(file: Path) -> Iterator[IO[bytes]]:
    """Raises InputMissing (66), and ContractError (65) on what is no gzip file, or not all of one."""
    try:
        with cast(IO[bytes], gzip.open(file) if file.name.lower().endswith(".gz") else file.open("rb")) as stream:
            yield stream
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ContractError(f"cannot read {file}: {error}", hint="was it copied whole?") from error
    except OSError as error:
        raise InputMissing(f"cannot read {file}: {error.strerror}") from error


def _names(files: list[Path]) -> str:
    return str(files[0]) + (f" and {len(files) - 1} more" if len(files) > 1 else "")
