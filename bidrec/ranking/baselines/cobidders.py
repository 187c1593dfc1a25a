"""Co-bidders: who bids where likely bidders bid, a walk from companies to their notices and back."""

import numpy as np
from scipy import sparse

from bidrec.ranking.baselines.history import KnownBids
from bidrec.ranking.lookup import entries, largest

CROWD = 100
"""Notices with more bidders than this say little about who meets whom, and cost their square."""
LIKELY = 50
"""Companies from whom the walk begins."""


class CoBidders:
    def __init__(self, bids: KnownBids, half_life: float) -> None:
        known, of_bid, bidders = np.unique(bids.notice, return_inverse=True, return_counts=True)
        small = bidders[of_bid] <= CROWD
        weight_P = bids.weights(half_life)
        per_bid = np.sqrt(weight_P / bidders[of_bid])[small].astype(np.float32)
        meeting = sparse.csr_array((per_bid, (of_bid[small], bids.company[small])), shape=(len(known), bids.companies))
        # A company that bids on everything meets everybody: both ends are divided by how much it bids.
        size_C = 1 / (1 + np.sqrt(np.bincount(bids.company, weight_P, bids.companies)))
        self._meeting = (meeting @ sparse.diags_array(size_C.astype(np.float32))).tocsr()
        self._back = self._meeting.T.tocsr()
        self._alone_C = np.asarray(self._meeting.multiply(self._meeting).sum(axis=0)).ravel()

    def spread(self, share: sparse.csr_array) -> sparse.csr_array:
        """(B, C) shares of likely bidders -> (B, C) how often the others meet them."""
        walked = (share @ self._back) @ self._meeting
        # The way back to where one started says nothing about others.
        return (walked - share @ sparse.diags_array(self._alone_C.astype(np.float32))).tocsr()


def likely(votes: sparse.csr_array) -> sparse.csr_array:
    """The LIKELY companies with the most votes of each row (B, C), as shares that sum to 1."""
    chosen_BL = largest(votes, LIKELY)
    row_B = np.arange(votes.shape[0])
    vote_BL = entries(votes, chosen_BL)
    share_BL = vote_BL / np.maximum(vote_BL.sum(axis=1, keepdims=True), 1e-12)
    has = chosen_BL >= 0
    rows = np.repeat(row_B, has.sum(axis=1))
    return sparse.csr_array((share_BL[has].astype(np.float32), (rows, chosen_BL[has])), shape=votes.shape)
