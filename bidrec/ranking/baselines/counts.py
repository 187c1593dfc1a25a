"""Mixed counts: how often a company bid on notices with the same unit, place, category, ... and pairs of these.

The sum over the fields of ln(1 + SCALE * decayed bids): a company known from many sides comes before one that is known
well from one.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bidrec.ranking.sparse_rows import from_ends, stacked

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

SCALE = 4.0
"""A count n enters as ln(1 + SCALE * n), here and in the second stage: the first bid says most."""


class Counts:
    def __init__(
        self, fields: Sequence[Int64], counted: Iterable[sparse.csr_array], popularity: npt.NDArray[np.float64]
    ) -> None:
        """`fields`: (N,) codes of each, 0 for unknown; `counted`: the bids by each (KnownBids.counted); `popularity`
        (C,) orders the companies without any such bid."""
        self.fields = list(fields)
        heights = [int(codes.max(initial=0)) + 1 for codes in self.fields]
        self._begin = np.cumsum([0, *heights])
        self._counted = stacked(counted, len(popularity))
        self._counted.data = np.log1p(SCALE * self._counted.data)
        self._rest_C = (1e-6 * popularity / max(popularity.sum(), 1e-12)).astype(np.float32)

    def scores(self, notice_rows: Int64) -> Float32:
        """(B,) -> (B, C)."""
        scores_BC = np.tile(self._rest_C, (len(notice_rows), 1))
        if not self.fields:
            return scores_BC
        columns = [codes[notice_rows] + begin for codes, begin in zip(self.fields, self._begin[:-1], strict=True)]
        ends = np.arange(len(notice_rows) + 1) * len(columns)
        ones = np.ones(ends[-1], np.float32)
        shape = (len(notice_rows), self._counted.shape[0])
        chosen = from_ends(ones, np.stack(columns, axis=1).ravel(), ends, shape)
        scores_BC += (chosen @ self._counted).toarray()
        return scores_BC
