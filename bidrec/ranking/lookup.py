"""Values of (row, company) pairs: written once from bids, read for any rows and candidates.

A sorted array of row * companies + company and one value each: 12 bytes a pair that occurs, whatever the catalogue,
and one binary search a question. A dense row of 300,000 companies per notice would be read and thrown away.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import sparse

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Lookup:
    """A sparse (rows, C) matrix; what is not in it is 0."""

    key: Int64
    """(n,) row * companies + company, ascending, each once."""
    value: Float32
    """(n,)"""
    companies: int

    @classmethod
    def summed(cls, row: Int64, company: Int64, weight: npt.NDArray[np.floating], companies: int) -> "Lookup":
        """The sum of the weights (P,) of each (row, company); row 0 stands for an unknown value and is left out."""
        said = row > 0
        key = row[said] * companies + company[said]
        order = np.argsort(key, kind="stable")
        key = key[order]
        first = np.flatnonzero(np.diff(key, prepend=-1))
        total = np.add.reduceat(weight[said][order], first) if len(key) else np.empty(0)
        return cls(key[first], total.astype(np.float32), companies)

    def at(self, row_B: Int64, company_BM: Int64) -> Float32:
        """(B, M) the values of row_B's companies; a company below 0 has none."""
        if not len(self.key):
            return np.zeros(company_BM.shape, np.float32)
        asked = row_B[:, None] * self.companies + company_BM
        place = np.searchsorted(self.key, asked)
        place[place == len(self.key)] = 0
        return np.where((self.key[place] == asked) & (company_BM >= 0), self.value[place], np.float32(0))


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
    """(B, k) columns of the k largest entries of each row, in no order; -1 where the row has fewer."""
    found = np.full((matrix.shape[0], k), -1, np.int64)
    for row, (start, end) in enumerate(pairwise(matrix.indptr)):
        columns = matrix.indices[start:end]
        if len(columns) > k:
            columns = columns[np.argpartition(matrix.data[start:end], len(columns) - k)[len(columns) - k :]]
        found[row, : len(columns)] = columns
    return found
