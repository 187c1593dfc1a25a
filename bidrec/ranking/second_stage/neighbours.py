"""The most alike known notices in the towers' space, and who bid on them.

A company's vector is a mean over its history; here each of its bids speaks for itself. That finds a company whose
bids are of several kinds, and it uses the same vectors.
"""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bidrec.ranking.baselines.knn import votes_of
from bidrec.ranking.baselines.known_bids import KnownBids
from bidrec.ranking.sparse_rows import from_ends
from bidrec.ranking.topk import top_k

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

# Chosen on the windows before the cutoffs of two states' tenders; half or twice as much costs .001 to .005.
SHARPNESS = 20.0
"""A vote is exp(SHARPNESS * (cosine - 1))."""


class TowerNeighbours:
    def __init__(self, bids: KnownBids, notice_ND: Float32, neighbours: int, most: int, half_life: float) -> None:
        """`notice_ND`: all notices' unit vectors. `neighbours` vote, of the `most` newest notices with a known bid; a
        vote is halved every `half_life` days."""
        self.notice_ND = notice_ND
        self.neighbours = neighbours
        known, self._votes = votes_of(bids.newest(most), half_life)
        self.known_KD = notice_ND[known]

    def votes(self, notice_rows: Int64) -> sparse.csr_array:
        """(B, C) of the notices with these rows (B,)."""
        chosen_BK, cosine_BK = top_k(self.notice_ND[notice_rows], self.known_KD, self.neighbours)
        ballots = np.exp(SHARPNESS * (cosine_BK - 1)).astype(np.float32)
        ends = np.arange(len(notice_rows) + 1) * chosen_BK.shape[1]
        shape = (len(notice_rows), len(self.known_KD))
        return from_ends(ballots.ravel(), chosen_BK.ravel(), ends, shape) @ self._votes
