"""The training set as arrays mapped into memory, how they are written, and the feature rows they are made from.

Reads   runs/ID/training_set/, tables of features/ through DuckDB
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bidrec.errors import ContractError, InputMissing
from bidrec.sql.words import quoted
from bidrec.storage.intact import require_intact
from bidrec.storage.sealed import read_json, read_manifest


class Growing:
    """One .npy file of a fixed dtype and row width. A context manager: on leaving it, the header states the rows."""

    def __init__(self, path: Path, dtype: npt.DTypeLike, width: int | None = None) -> None:
        """width: columns of a (rows, width) array, None for a (rows,) array."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.dtype = np.dtype(dtype)
        self.width = width
        self.rows = 0
        self._file = path.open("wb")
        self._write_header()

    def append(self, block: npt.NDArray[np.generic]) -> None:
        shape = (len(block),) if self.width is None else (len(block), self.width)
        self._file.write(np.ascontiguousarray(block, dtype=self.dtype).reshape(shape).data)
        self.rows += len(block)

    def _write_header(self) -> None:
        # numpy leaves room in the header for the first axis to grow, so a later header has the same length.
        shape = (self.rows,) if self.width is None else (self.rows, self.width)
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(
            self._file, {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        )

    def __enter__(self) -> "Growing":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._write_header()
        self._file.close()


def read(path: Path) -> npt.NDArray[Any]:
    """Map a .npy file into memory, read-only; never a pickle."""
    return np.load(path, mmap_mode="r", allow_pickle=False)


BLOCK_ROWS = 65_536


def seconds(column: str, rounded: str = "ceil") -> str:
    """SQL: a time in whole seconds since the epoch, UTC.

    Known times are rounded up and publications down: what was known by then in seconds was so in microseconds too.
    """
    return f"CAST({rounded}(epoch_us({quoted(column)}::TIMESTAMPTZ) / 1e6) AS BIGINT)"


@dataclass(frozen=True)
class SideRows:
    """known_at: (R,) seconds; pointer: (R,) rows of `table`, -1 for none, otherwise never falling; None: row i is i."""

    connection: duckdb.DuckDBPyConnection
    table: str
    known_at: npt.NDArray[np.int64]
    pointer: npt.NDArray[np.int32] | None = None

    def column(self, expression: str, rows: npt.NDArray[np.int64]) -> pa.Array:
        """The value of an SQL expression for the given rows of the side; NULL where there is no feature row."""
        read = self.connection.execute(f"SELECT {expression} AS value FROM {self.table}").to_arrow_table()["value"]
        return _taken(pa.concat_arrays([pa.nulls(0, read.type), *read.chunks]), self._pointer(rows))

    def batches(self, expressions: dict[str, str]) -> Iterator[pa.RecordBatch]:
        """All rows of the side in order, in blocks, with one column per named SQL expression."""
        columns = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in expressions.items()) or "1 AS nothing"
        reader = self.connection.execute(f"SELECT {columns} FROM {self.table}").to_arrow_reader(BLOCK_ROWS)
        if self.pointer is None:
            yield from reader
            return
        # A row without a feature row travels with the one before it.
        passed = np.maximum.accumulate(self.pointer) if len(self.pointer) else self.pointer
        begin, first = 0, 0
        for batch in reader:
            end = int(np.searchsorted(passed, first + len(batch)))
            yield from _blocks(batch, self.pointer[begin:end], first)
            begin, first = end, first + len(batch)
        nothing = pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in reader.schema], schema=reader.schema)
        yield from _blocks(nothing, self.pointer[begin:], first)

    def _pointer(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.integer]:
        return rows if self.pointer is None else self.pointer[rows]


def _blocks(batch: pa.RecordBatch, pointer: npt.NDArray[np.int32], first: int) -> Iterator[pa.RecordBatch]:
    for begin in range(0, len(pointer), BLOCK_ROWS):
        part = pointer[begin : begin + BLOCK_ROWS]
        relative = np.where(part >= 0, part - first, -1)
        yield pa.RecordBatch.from_arrays([_taken(column, relative) for column in batch], schema=batch.schema)


def _taken(values: pa.Array, pointer: npt.NDArray[np.integer]) -> pa.Array:
    return values.take(pa.array(pointer.astype(np.int64), mask=pointer < 0))


SIDES = ("notice", "profile", "version")

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Side:
    """The features of one kind of row: R notices, profiles or versions. `schema` names the columns."""

    schema: dict[str, Any]
    dense: Float32
    """(R, dense columns) normalised, within ±5, a missing value 0; flags of missing values are columns too."""
    attribute_values: Int32
    """(items,) ids in one table of `attribute_rows`, in (row, field, item) order; a field's first id is its unknown."""
    attribute_lengths: Int32
    """(R, attribute fields) items of each, at least 1."""
    ages: Int64
    """(R, age fields) times in seconds since the epoch, the least int64 where there is none."""
    text_values: Int32
    """(terms,) ids in one table of `text_rows`."""
    text_weights: Float32
    """(terms,) of unit L2 length per row and text field."""
    text_lengths: Int32
    """(R,) terms of each row."""

    @property
    def rows(self) -> int:
        return len(self.dense)

    @property
    def attribute_rows(self) -> int:
        return int(self.schema["attribute_rows"])

    @property
    def text_rows(self) -> int:
        return int(self.schema["text_rows"])

    def attribute_starts(self) -> Int64:
        """(R, attribute fields) where the items of each begin in `attribute_values`."""
        lengths = self.attribute_lengths
        return (np.cumsum(lengths, dtype=np.int64) - lengths.ravel()).reshape(lengths.shape)

    @classmethod
    def open(cls, folder: Path, schema: dict[str, Any]) -> "Side":
        """Map one side; ContractError where an array does not have the rows and columns the schema speaks of."""
        side = cls(
            schema,
            read(folder / "dense.npy"),
            read(folder / "attributes.values.npy"),
            read(folder / "attributes.lengths.npy"),
            read(folder / "ages.npy"),
            read(folder / "text.values.npy"),
            read(folder / "text.weights.npy"),
            read(folder / "text.lengths.npy"),
        )
        rows = side.rows
        _expect(folder / "dense.npy", side.dense, (rows, len(schema["dense_columns"])), np.float32)
        _expect(folder / "attributes.lengths.npy", side.attribute_lengths, (rows, len(schema["attributes"])), np.int32)
        _expect(folder / "ages.npy", side.ages, (rows, len(schema["ages"])), np.int64)
        _expect(folder / "text.lengths.npy", side.text_lengths, (rows,), np.int32)
        items, terms = int(side.attribute_lengths.sum(dtype=np.int64)), int(side.text_lengths.sum(dtype=np.int64))
        _expect(folder / "attributes.values.npy", side.attribute_values, (items,), np.int32)
        _expect(folder / "text.values.npy", side.text_values, (terms,), np.int32)
        _expect(folder / "text.weights.npy", side.text_weights, (terms,), np.float32)
        return side


@dataclass(frozen=True)
class TrainingSet:
    """N notices, C companies, P profiles, V versions, E log events, M pairs; all times in seconds since the epoch."""

    folder: Path
    schema: dict[str, Any]
    manifest: dict[str, Any]
    notice: Side
    profile: Side
    version: Side
    notice_published_at: Int64
    """(N,) ascending."""
    notice_limits: Int32
    """(N,) who may bid: rows of notice/limits.parquet (bidrec.training_set.limits)."""
    profile_company: Int32
    profile_known_at: Int64
    """(P,) sorted by (company, known_at)."""
    profile_standing: Int32
    """(P,) what limits ask about: rows of profile/standing.parquet."""
    version_company: Int32
    version_known_at: Int64
    """(V,) sorted by (company, known_at), each distinct."""
    version_profile: Int32
    """(V,) newest profile row known by then, -1 for none."""
    version_log_begin: Int64
    version_log_end: Int64
    """(V,) the history known by then is log[begin:end], oldest first."""
    log_company: Int32
    log_notice: Int32
    log_known_at: Int64
    """(E,) sorted by (company, known_at)."""
    pair_notice: Int32
    pair_company: Int32
    pair_version: Int32
    """(M,) newest version with known_at <= the notice's published_at, -1: the company was unknown then."""
    pair_known_at: Int64
    """(M,) when the bid became public; pairs are sorted by (notice, company)."""

    @property
    def companies(self) -> int:
        return int(self.manifest["rows"]["company"])

    @property
    def validation_from(self) -> int:
        return int(self.manifest["split"]["validation_from"])

    @property
    def cutoff(self) -> int:
        return int(self.manifest["split"]["cutoff"])

    @property
    def test_before(self) -> int:
        return int(self.manifest["split"]["test_before"])

    def notice_ids(self) -> list[str]:
        """(N,) read from disk each time."""
        return _ids(self.folder / "notice" / "ids.parquet", "notice_id")

    def company_ids(self) -> list[str]:
        """(C,) read from disk each time."""
        return _ids(self.folder / "company" / "ids.parquet", "company_id")

    @classmethod
    def open(cls, folder: Path) -> "TrainingSet":
        """Map a finished training set. Raises InputMissing where it is not, ContractError where a file was changed or
        shapes disagree."""
        if read_manifest(folder) is None:
            raise InputMissing(f"no finished training set in {folder}", hint="run `bidrec train`")
        return cls.map(folder, require_intact(folder))

    @classmethod
    def map(cls, folder: Path, manifest: dict[str, Any]) -> "TrainingSet":
        """Map the arrays of a folder whose manifest may not be written yet (the audit looks before it is)."""
        schema = read_json(folder / "schema.json")
        sides: dict[str, Any] = {name: Side.open(folder / name, schema[name]) for name in SIDES}
        paths = {name: folder / f"{name.replace('_', '/', 1)}.npy" for name in _COLUMNS}
        paths |= {name: folder / "pairs" / f"{name.removeprefix('pair_')}.npy" for name in _PAIR_COLUMNS}
        arrays: dict[str, Any] = {name: read(path) for name, path in paths.items()}
        rows = {group: len(arrays[first]) for group, first in _GROUPS.items()}
        rows |= {name: side.rows for name, side in sides.items()}
        for name, (group, dtype) in (_COLUMNS | _PAIR_COLUMNS).items():
            _expect(paths[name], arrays[name], (rows[group],), dtype)
        return cls(folder, schema, manifest, **sides, **arrays)


_COLUMNS: dict[str, tuple[str, type]] = {
    "notice_published_at": ("notice", np.int64),
    "notice_limits": ("notice", np.int32),
    "profile_company": ("profile", np.int32),
    "profile_known_at": ("profile", np.int64),
    "profile_standing": ("profile", np.int32),
    "version_company": ("version", np.int32),
    "version_known_at": ("version", np.int64),
    "version_profile": ("version", np.int32),
    "version_log_begin": ("version", np.int64),
    "version_log_end": ("version", np.int64),
    "log_company": ("log", np.int32),
    "log_notice": ("log", np.int32),
    "log_known_at": ("log", np.int64),
}
_PAIR_COLUMNS: dict[str, tuple[str, type]] = {
    "pair_notice": ("pair", np.int32),
    "pair_company": ("pair", np.int32),
    "pair_version": ("pair", np.int32),
    "pair_known_at": ("pair", np.int64),
}
_GROUPS = {"log": "log_company", "pair": "pair_notice"}


def _expect(path: Path, array: npt.NDArray[Any], shape: tuple[int, ...], dtype: type) -> None:
    if array.shape != shape or array.dtype != np.dtype(dtype):
        raise ContractError(
            f"{path} holds {array.shape} {array.dtype}, not {shape} {np.dtype(dtype)}",
            hint="the training set is damaged; train again: bidrec train --force",
        )


def _ids(path: Path, column: str) -> list[str]:
    import duckdb  # here: the training reads no ids and need not wait for it

    with duckdb.connect() as connection:
        return [
            row[0]
            for row in connection.execute(
                f"SELECT {column} FROM read_parquet(?, file_row_number = true) ORDER BY file_row_number", [str(path)]
            ).fetchall()
        ]
