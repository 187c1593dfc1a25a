"""The rows of a side: row i of a notice, profile or version array, and the feature row it is made from.

Reads   one table of features/ through DuckDB, in its own order
Writes  nothing: columns for fitting, blocks for encoding

Several versions may come from one row of company_activity, and a company that has not bid yet from none (pointer -1):
the feature row is looked up while it streams by, and never stored twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bidrec.sql.words import quoted

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
