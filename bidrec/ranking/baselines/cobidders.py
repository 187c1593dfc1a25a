"""Co-bidders: who bids where likely bidders bid, a walk from companies to their notices and back."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bidrec.ranking.baselines.known_bids import KnownBids
from bidrec.ranking.lookup import entries, largest
from bidrec.ranking.sparse_rows import from_places

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]

CROWD = 100
"""Notices with more bidders than this say little about who meets whom, and cost their square."""
LIKELY = 50
"""Companies from whom the walk begins."""


class CoBidders:
    def __init__(self, bids: KnownBids, half_life: float) -> None:
        known, of_bid, bidders = bids.notices()
        small = bidders[of_bid] <= CROWD
        weight_P = bids.weights(half_life)
        per_bid = np.sqrt(weight_P / bidders[of_bid])[small].astype(np.float32)
        meeting = from_places(per_bid, of_bid[small], bids.company[small], (len(known), bids.companies))
        # A company that bids on everything meets everybody: both ends are divided by how much it bids.
        size_C = 1 / (1 + np.sqrt(np.bincount(bids.company, weight_P, bids.companies)))
        self._meeting = (meeting @ sparse.diags_array(size_C.astype(np.float32))).tocsr()
        self._back = self._meeting.T.tocsr()
        self._alone_C = np.asarray(self._meeting.multiply(self._meeting).sum(axis=0)).ravel().astype(np.float32)

    def spread(self, share: sparse.csr_array) -> Iterator[Float32]:
        """(B, C) shares of likely bidders -> for each row (C,) how often the others meet them.

        The second half of the walk reaches a third of a large catalogue: rows that are full are added up five times as
        fast as SciPy makes a sparse product of them.
        """
        half_way = share @ self._back
        for (begin, end), (first, last) in zip(pairwise(half_way.indptr), pairwise(share.indptr), strict=True):
            met_C = self._meeting[half_way.indices[begin:end]].T @ half_way.data[begin:end]
            # The way back to where one started says nothing about others.
            likely_L = share.indices[first:last]
            met_C[likely_L] -= share.data[first:last] * self._alone_C[likely_L]
            yield met_C

    def met(self, share: sparse.csr_array, company_BM: Int64) -> Float32:
        """(B, M) what `spread` says of some companies of each row; 0 for one below 0. Back from these alone: they have
        fewer bids than all whom the walk reaches, and a company's bids lie together."""
        half_way_K = np.zeros(self._back.shape[1], np.float32)
        found = np.zeros(company_BM.shape, np.float32)
        for row, (first, last) in enumerate(pairwise(share.indptr)):
            begun, asked = self._back[share.indices[first:last]], company_BM[row] >= 0
            shares = np.repeat(share.data[first:last], np.diff(begun.indptr))
            np.add.at(half_way_K, begun.indices, begun.data * shares)
            found[row, asked] = self._back[company_BM[row, asked]] @ half_way_K
            half_way_K[begun.indices] = 0
        return found - entries(share, company_BM) * self._alone_C[company_BM]


def likely(votes: sparse.csr_array) -> sparse.csr_array:
    """The LIKELY companies with the most votes of each row (B, C), as shares that sum to 1."""
    chosen_BL = largest(votes, LIKELY)
    row_B = np.arange(votes.shape[0])
    vote_BL = entries(votes, chosen_BL)
    share_BL = vote_BL / np.maximum(vote_BL.sum(axis=1, keepdims=True), 1e-12)
    has = chosen_BL >= 0
    rows = np.repeat(row_B, has.sum(axis=1))
    return from_places(share_BL[has].astype(np.float32), rows, chosen_BL[has], votes.shape)
