"""The final ranking: a run's towers and blend over what is known at a moment.

Reads   runs/ID/training_set, runs/ID/{model,validated,second_stage}
Read by the evaluation, which asks for scores of all companies, and by the write-back, which asks for lists
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bidrec.config import Ranking
from bidrec.ranking.second_stage.blend import Blend
from bidrec.ranking.second_stage.evidence import Evidence
from bidrec.ranking.second_stage.signals import candidates_of
from bidrec.ranking.topk import best

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

BLOCK = 128
"""Notices looked at together."""
BELOW = 1e4
"""How far below every candidate the other companies stand, among themselves in the towers' order."""


@dataclass(frozen=True)
class FinalRanker:
    """Scores of the blend for the candidates; every other company comes after them."""

    evidence: Evidence
    blend: Blend
    settings: Ranking

    def scores(self, notice_rows: Int64) -> Float32:
        """(B,) notice rows -> (B, C)."""
        scores_BC = self.evidence.notice_ND[notice_rows] @ self.evidence.company_CD.T - np.float32(BELOW)
        for start in range(0, len(notice_rows), BLOCK):
            company_BM, score_BM = self._candidates(notice_rows[start : start + BLOCK])
            row, place = np.nonzero(company_BM >= 0)
            scores_BC[start + row, company_BM[row, place]] = score_BM[row, place]
        return scores_BC

    def lists(self, notice_rows: Int64, k: int) -> tuple[Int64, Float32]:
        """(Q, K) the best companies of each notice, best first, and their scores; -1 and -inf where there are fewer."""
        rows = np.full((len(notice_rows), k), -1, np.int64)
        scores = np.full((len(notice_rows), k), -np.inf, np.float32)
        for start in range(0, len(notice_rows), BLOCK):
            company_BM, score_BM = self._candidates(notice_rows[start : start + BLOCK])
            place_BK, best_BK = best(np.where(company_BM >= 0, score_BM, -np.inf).astype(np.float32), k)
            listed = slice(start, start + len(company_BM)), slice(0, place_BK.shape[1])
            scores[listed] = best_BK
            rows[listed] = np.where(np.isneginf(best_BK), -1, np.take_along_axis(company_BM, place_BK, axis=1))
        return rows, scores

    def _candidates(self, notice_rows: Int64) -> tuple[Int64, Float32]:
        found = candidates_of(self.evidence, notice_rows, self.settings.candidates, self.blend.counted)
        return found.company_BM, self.blend.scores(found.signal_BMS)
