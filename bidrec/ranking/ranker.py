"""What a ranker is: a score of every company for each notice asked about."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]


class Ranker(Protocol):
    """Scores compare within a notice only, and are finite. Of companies that are no candidates they mean nothing."""

    def scores(self, notice_rows: Int64) -> Float32:
        """(B,) notice rows -> (B, C) float32, a fresh array the caller may write to."""
        ...


@dataclass(frozen=True)
class VectorRanker:
    """A model as its vectors: the score is the dot product."""

    notice_ND: Float32
    company_CD: Float32

    def scores(self, notice_rows: Int64) -> Float32:
        return np.asarray(self.notice_ND[notice_rows] @ self.company_CD.T, dtype=np.float32)
