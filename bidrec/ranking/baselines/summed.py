"""Co-bidders of the kNN's companies, and the sum of the simple rankers: the rival to beat.

Summed, simple rankers are hard to beat: each finds bidders the others miss.
"""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bidrec.ranking.baselines.cobidders import CoBidders
from bidrec.ranking.baselines.counts import Counts
from bidrec.ranking.baselines.history import KnownBids
from bidrec.ranking.baselines.knn import QUERIES, Neighbours

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

LEAST = 1e-4
"""Added before a logarithm: what a company without a vote has."""
# Chosen on the windows before the cutoffs of two states' tenders.
COUNTS_WEIGHT, COBIDDERS_WEIGHT = 0.1, 0.5


class CoBidding:
    def __init__(self, bids: KnownBids, knn: Neighbours, half_life: float) -> None:
        """`half_life` of a meeting, in days."""
        self.knn, self.cobidders = knn, CoBidders(bids, half_life)

    def scores(self, notice_rows: Int64) -> Float32:
        """(B,) -> (B, C)."""
        scores_BC = self.knn.scores(notice_rows)
        for start in range(0, len(notice_rows), QUERIES):
            block = slice(start, start + QUERIES)
            votes = self.knn.votes(notice_rows[block])
            total = np.maximum(np.asarray(votes.sum(axis=1)).ravel(), 1e-12)
            share = (sparse.diags_array((1 / total).astype(np.float32)) @ votes).tocsr()
            # Of companies that meet none of them, the kNN's order stays.
            scores_BC[block] = 1e-6 * scores_BC[block] + self.cobidders.spread(share).toarray()
        return scores_BC


class Summed:
    def __init__(self, counts: Counts, knn: Neighbours, cobidding: CoBidding) -> None:
        self.counts, self.knn, self.cobidding = counts, knn, cobidding

    def scores(self, notice_rows: Int64) -> Float32:
        """(B,) -> (B, C)."""
        scores_BC = np.log(self.knn.scores(notice_rows) + LEAST)
        scores_BC += COUNTS_WEIGHT * self.counts.scores(notice_rows)
        scores_BC += COBIDDERS_WEIGHT * np.log(np.maximum(self.cobidding.scores(notice_rows), 0) + LEAST)
        return np.asarray(scores_BC, np.float32)
