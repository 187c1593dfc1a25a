"""The final ranking: a run's towers and blend over what is known at a moment.

Reads   runs/ID/training_set, runs/ID/{model,validated,second_stage}
Read by the evaluation, which asks for scores of all companies, and by the write-back, which asks for the candidates
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from bidrec.config import Ranking
from bidrec.operations import machine
from bidrec.ranking.second_stage.blend import Blend
from bidrec.ranking.second_stage.evidence import Evidence
from bidrec.ranking.second_stage.signals import candidates_of

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

BLOCK = 128
"""Notices looked at together."""
LOWEST = -1000.0
"""No candidate's score is below it; a blend gives some tens."""


@dataclass(frozen=True)
class FinalRanker:
    """Levelled scores of the blend for the candidates, which compare within a notice and across notices; every other
    company comes after them, in the towers' order."""

    evidence: Evidence
    blend: Blend
    settings: Ranking

    @property
    def penalty_C(self) -> Float32:
        """(C,) what each candidate's score loses for the exposure it has (`ranking.exposure`)."""
        return np.float32(self.settings.exposure) * self.evidence.lasting_C

    def scores(self, notice_rows: Int64) -> Float32:
        """(B,) notice rows -> (B, C), by which companies are ordered: less the penalty."""
        return self.laid_out(notice_rows, *self.pairs(notice_rows))

    def laid_out(self, notice_rows: Int64, notice: Int64, company: Int64, score: Float32) -> Float32:
        """The scores by these notices' pairs, that are there already."""
        # The same floor whatever is asked together: scores are compared across notices too. A cosine lies in [-1, 1].
        scores_BC = self.evidence.notice_ND[notice_rows] @ self.evidence.company_CD.T + np.float32(LOWEST - 2)
        scores_BC[notice, company] = np.maximum(score - self.penalty_C[company], np.float32(LOWEST))
        return np.asarray(scores_BC, np.float32)

    def pairs(
        self, notice_rows: Int64, looked_at: Callable[[int], None] = lambda notices: None
    ) -> tuple[Int64, Int64, Float32]:
        """All candidates of the notices (Q,): position in `notice_rows` and company row, both ascending, score, each
        (P,). Without the penalty: these are the scores that become probabilities. `looked_at` is told of the notices as
        they are done, so many at a time."""
        if not len(notice_rows):
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)

        def of_block(start: int) -> tuple[Int64, Int64, Float32]:
            company_BM, score_BM = self._candidates(notice_rows[start : start + BLOCK])
            row, place = np.nonzero(company_BM >= 0)
            return start + row, company_BM[row, place], score_BM[row, place]

        # SciPy's products, most of the work, run on one core each and let other threads run; torch's need no more then.
        parts, starts = [], range(0, len(notice_rows), BLOCK)
        with ThreadPoolExecutor(machine.cores(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for start, part in zip(starts, pool.map(of_block, starts), strict=True):
                parts.append(part)
                looked_at(min(BLOCK, len(notice_rows) - start))
        notice, company, score = (np.concatenate(column) for column in zip(*parts, strict=True))
        return notice, company, score

    def _candidates(self, notice_rows: Int64) -> tuple[Int64, Float32]:
        found = candidates_of(self.evidence, notice_rows, self.settings.candidates, self.blend.counted)
        score_BM = self.blend.levelled(self.blend.scores(found.signal_BMS), found.company_BM >= 0)
        return found.company_BM, np.maximum(score_BM, np.float32(LOWEST))


@dataclass(frozen=True)
class Once:
    """The final ranking of some notices, ascending, whose candidates are looked at once: when they are first asked for,
    stretch by stretch."""

    ranker: FinalRanker
    notices: Int64
    looked_at: Callable[[int], None] = lambda notices: None

    @cached_property
    def pairs(self) -> tuple[Int64, Int64, Float32]:
        return self.ranker.pairs(self.notices, self.looked_at)

    def scores(self, notice_rows: Int64) -> Float32:
        """(B,) rows that follow each other in `notices` -> (B, C), as those of `ranker`."""
        begin = np.searchsorted(self.notices, notice_rows[0])
        notice, company, score = self.pairs
        part = slice(*np.searchsorted(notice, [begin, begin + len(notice_rows)]))
        return self.ranker.laid_out(notice_rows, notice[part] - begin, company[part], score[part])
