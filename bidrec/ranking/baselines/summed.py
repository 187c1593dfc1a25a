"""The kNN, co-bidders of its companies, and the sum of these and the counts: the rival to beat.

Summed, simple rankers are hard to beat: each finds bidders the others miss.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from bidrec.ranking.baselines.cobidders import CoBidders, likely
from bidrec.ranking.baselines.counts import Counts
from bidrec.ranking.baselines.knn import Neighbours

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

LEAST = 1e-4
"""Added before a logarithm: what a company without a vote has."""
# Chosen on the windows before the cutoffs of two states' tenders.
COUNTS_WEIGHT, COBIDDERS_WEIGHT = 0.1, 0.5


class ByVotes:
    """Three rankers, parts of this one, that share the kNN's votes and the walk to co-bidders."""

    NAMES = ("knn", "cobidders", "summed")

    def __init__(
        self, counts: Counts, knn: Neighbours, cobidders: CoBidders, popularity: npt.NDArray[np.float64]
    ) -> None:
        """`popularity` (C,) orders the companies no neighbour votes for."""
        self.counts, self.knn, self.cobidders = counts, knn, cobidders
        # Small enough never to outweigh a vote that counts.
        self._rest_C = (1e-9 * popularity / max(popularity.sum(), 1e-12)).astype(np.float32)

    def scores(self, notice_rows: Int64) -> Iterator[Float32]:
        """(B,) -> (B, C) of each of NAMES. Companies that meet none of the likely ones keep the kNN's order."""
        votes = self.knn.votes(notice_rows)
        vote_BC = votes.toarray()
        yield vote_BC + self._rest_C
        met_BC = np.zeros_like(vote_BC)
        for row, met_C in enumerate(self.cobidders.spread(likely(votes))):
            met_BC[row] = met_C
        met_BC = np.maximum(met_BC, 0) + 1e-6 * vote_BC
        yield met_BC.copy()
        scores_BC = COUNTS_WEIGHT * self.counts.scores(notice_rows)
        scores_BC += np.log(vote_BC + LEAST)
        scores_BC += COBIDDERS_WEIGHT * np.log(met_BC + LEAST)
        yield scores_BC
