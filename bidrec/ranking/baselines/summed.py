"""Co-bidders of the kNN's companies, and the sum of the simple rankers: the rival to beat.

Summed, simple rankers are hard to beat: each finds bidders the others miss.
"""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bidrec.ranking.baselines.cobidders import CoBidders, likely
from bidrec.ranking.baselines.counts import Counts
from bidrec.ranking.baselines.knn import QUERIES, Neighbours
from bidrec.ranking.baselines.known_bids import KnownBids

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
        blocks = (notice_rows[start : start + QUERIES] for start in range(0, len(notice_rows), QUERIES))
        return np.concatenate([self.of_votes(self.knn.votes(block)) for block in blocks])

    def of_votes(self, votes: sparse.csr_array) -> Float32:
        """(B, C) from the kNN's votes. Companies that meet none of the likely ones keep the kNN's order."""
        met_BC = np.zeros(votes.shape, np.float32)
        for row, met_C in enumerate(self.cobidders.spread(likely(votes))):
            met_BC[row] = met_C
        return np.asarray(np.maximum(met_BC, 0) + 1e-6 * votes.toarray(), np.float32)


class Summed:
    def __init__(self, counts: Counts, knn: Neighbours, cobidding: CoBidding) -> None:
        self.counts, self.knn, self.cobidding = counts, knn, cobidding

    def scores(self, notice_rows: Int64) -> Float32:
        """(B,) -> (B, C)."""
        scores_BC = COUNTS_WEIGHT * self.counts.scores(notice_rows)
        for start in range(0, len(notice_rows), QUERIES):
            block = slice(start, start + QUERIES)
            votes = self.knn.votes(notice_rows[block])
            scores_BC[block] += np.log(votes.toarray() + LEAST)
            scores_BC[block] += COBIDDERS_WEIGHT * np.log(self.cobidding.of_votes(votes) + LEAST)
        return scores_BC
