"""Back-off: who bid on notices with the same key, and, the less that says, on notices with a coarser one.

One chain of keys, the finest first; popularity ends it. With n(k, c) the decayed bids of company c on notices with
key k and n(k) the decayed notices with it,

    p(c | k) = (n(k, c) + m * p(c | next key)) / (n(k) + m).
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bidrec.ranking.baselines.known_bids import KnownBids
from bidrec.ranking.sparse_rows import from_ends, stacked

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]


class BackOff:
    def __init__(
        self,
        bids: KnownBids,
        chain: Sequence[Int64],
        counted: Iterable[sparse.csr_array],
        weight_P: Float64,
        prior: float,
        popularity: Float64,
    ) -> None:
        """`chain`: (N,) codes of each key, 0 for unknown, the finest first; `counted`: the bids by each, of the weights
        `weight_P`. `prior` is m, in notices; `popularity` (C,) is what is left to say of a notice without a known
        key."""
        self.chain = list(chain)
        self.prior = prior
        self.popularity_C = popularity / max(popularity.sum(), 1e-12)
        heights = [int(codes.max(initial=0)) + 1 for codes in self.chain]
        self._begin = np.cumsum([0, *heights])
        # A notice weighs as much as one of its bids, however many there are.
        notices, _, bidders = bids.notices()
        first = np.cumsum(bidders) - bidders
        self._mass = [
            np.bincount(codes[notices], weights=weight_P[first], minlength=height)
            for codes, height in zip(self.chain, heights, strict=True)
        ]
        self._counts = stacked(counted, bids.companies)

    def scores(self, notice_rows: Int64) -> npt.NDArray[np.float32]:
        """(B,) -> (B, C)."""
        left = np.ones(len(notice_rows))
        shares, columns = [], []
        for codes, mass, begin in zip(self.chain, self._mass, self._begin[:-1], strict=True):
            code = codes[notice_rows]
            seen = np.where(code > 0, mass[code], 0.0)
            shares.append(np.where(seen > 0, left / (seen + self.prior), 0.0))
            left = np.where(seen > 0, left * self.prior / (seen + self.prior), left)
            columns.append(code + begin)
        rest = (left[:, None] * self.popularity_C).astype(np.float32)
        if not self.chain:
            return rest
        selection = from_ends(
            np.stack(shares, axis=1).astype(np.float32).ravel(),
            np.stack(columns, axis=1).ravel(),
            np.arange(len(notice_rows) + 1) * len(self.chain),
            (len(notice_rows), self._counts.shape[0]),
        )
        rest += (selection @ self._counts).toarray()
        return rest
