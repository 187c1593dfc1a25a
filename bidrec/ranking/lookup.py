"""What a sparse matrix holds of some companies: of a row or two of a large one, or of each row of a block's.

A dense row of 300,000 companies per notice would be read and thrown away.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import sparse

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

SOME = 8
"""To find the k-th of many values, every so manieth is looked at first."""


def looked_up(matrix: sparse.csr_array, row_B: Int64, company_BM: Int64) -> Float32:
    """(B, M) what the rows row_B of the matrix (rows, C), in which columns ascend, hold of the companies; 0 for one
    below 0. A binary search a question."""
    found = np.zeros(company_BM.shape, np.float32)
    asked_BM = company_BM.astype(matrix.indices.dtype, copy=False)  # else each search would copy the row
    for place, row in enumerate(row_B):
        start, end = matrix.indptr[row], matrix.indptr[row + 1]
        if start < end:
            columns = matrix.indices[start:end]
            at = np.minimum(np.searchsorted(columns, asked_BM[place]), end - start - 1)
            found[place] = np.where(columns[at] == asked_BM[place], matrix.data[start:end][at], 0)
    return found


def entries(matrix: sparse.csr_array, company_BM: Int64) -> Float32:
    """(B, M) what row b of the matrix (B, C) holds of the companies company_BM[b]; 0 for one below 0.

    Each row is laid out once in full: for so many questions a row that is cheaper than sorting it to search in it.
    """
    found = np.zeros(company_BM.shape, np.float32)
    laid_out_C = np.zeros(matrix.shape[1], np.float32)
    for row, (start, end) in enumerate(pairwise(matrix.indptr)):
        columns = matrix.indices[start:end]
        laid_out_C[columns] = matrix.data[start:end]
        found[row] = laid_out_C[company_BM[row]]
        laid_out_C[columns] = 0
    found[company_BM < 0] = 0
    return found


def largest(matrix: sparse.csr_array, k: int) -> Int64:
    """(B, k) columns of the k largest entries of each row, in no order; -1 where the row has fewer. Of equal ones as
    `places_of_largest`."""
    found = np.full((matrix.shape[0], k), -1, np.int64)
    for row, (start, end) in enumerate(pairwise(matrix.indptr)):
        columns = matrix.indices[start:end]
        chosen = columns[places_of_largest(matrix.data[start:end], columns, k)]
        found[row, : len(chosen)] = chosen
    return found


def places_of_largest(values: npt.NDArray[np.floating], columns: npt.NDArray[np.integer], k: int) -> Int64:
    """Where the k largest values of a row (n,) stand, ascending. Of equal ones those in the last of its `columns` (n,):
    of notices, the newest. numpy's argpartition would take any of them, and on another processor others."""
    if len(values) <= k:
        return np.arange(len(values))
    least = _kth(values, k)
    found = np.flatnonzero(~(values < least))  # NaN too: who ranks by it refuses it
    too_many = len(found) - k
    if not too_many:
        return found
    equal = np.flatnonzero(values[found] == least)
    return np.delete(found, equal[np.argpartition(columns[found[equal]], too_many - 1)[:too_many]])


def _kth(values: npt.NDArray[np.floating], k: int) -> np.floating:
    """The k-th largest; NaN is the largest of all."""
    if len(values) > SOME * SOME * k:
        # At least k are as large as the k-th of some of them: few others are left to be told apart.
        values = values[~(values < _kth(values[::SOME], k))]
    return np.partition(values, len(values) - k)[len(values) - k]
