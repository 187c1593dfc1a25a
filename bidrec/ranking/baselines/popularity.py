"""Popularity: the companies that bid most of late, the same for every notice."""

import numpy as np
import numpy.typing as npt

from bidrec.ranking.baselines.known_bids import KnownBids


class Popularity:
    def __init__(self, bids: KnownBids, half_life: float) -> None:
        """`half_life` of a bid's weight, in days."""
        self.score_C = bids.popularity(half_life).astype(np.float32)

    def scores(self, notice_rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """(B,) -> (B, C)."""
        return np.tile(self.score_C, (len(notice_rows), 1))
