"""Sparse matrices with the narrowest numbers for rows and columns: int32, but for billions of values.

SciPy keeps for its arrays the kind of number that they were made from, numpy's int64: 12 bytes a value instead of 8,
read in every product. Where two matrices have different ones, each product copies all numbers of the narrower first,
as many as there are bids.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy import sparse

Numbers = npt.NDArray[np.integer]


def from_places(
    value: npt.NDArray[np.floating], row: Numbers, column: Numbers, shape: tuple[int, int]
) -> sparse.csr_array:
    """The values (n,) at their rows and columns (n,); those at one place are summed. A row's columns
    ascend."""
    return _places(value, row, column, shape).tocsr()


def from_crowded(
    value: npt.NDArray[np.floating], row: Numbers, column: Numbers, shape: tuple[int, int]
) -> sparse.csr_array:
    """The same for rows of thousands of values, which to sort one by one takes twice as long as to lay all of them out
    by column and then by row. What is at one place is summed in the order given."""
    places = _places(value, row, column, shape)
    places.has_canonical_format = True  # or SciPy would sort each column already
    rows = places.tocsc().tocsr()
    rows.has_canonical_format = False
    rows.sum_duplicates()
    return rows


def stacked(matrices: Iterable[sparse.csr_array], columns: int) -> sparse.csr_array:
    """(all their rows, columns) float32, the rows of one below those of another; a copy."""
    return sparse.vstack([sparse.csr_array((0, columns), dtype=np.float32), *matrices], format="csr")


def _places(value: npt.NDArray[np.floating], row: Numbers, column: Numbers, shape: tuple[int, int]) -> sparse.coo_array:
    kind = _kind(len(value), shape)
    return sparse.coo_array((value, (row.astype(kind, copy=False), column.astype(kind, copy=False))), shape=shape)


def from_ends(
    value: npt.NDArray[np.floating], column: Numbers, end: Numbers, shape: tuple[int, int]
) -> sparse.csr_array:
    """The values (n,) row after row, row r between the ends (rows + 1,) at r and r + 1, each in its column (n,)."""
    kind = _kind(len(value), shape)
    return sparse.csr_array((value, column.astype(kind, copy=False), end.astype(kind, copy=False)), shape=shape)


def _kind(values: int, shape: tuple[int, int]) -> type[np.signedinteger]:
    return np.int32 if max(values, *shape) <= np.iinfo(np.int32).max else np.int64
