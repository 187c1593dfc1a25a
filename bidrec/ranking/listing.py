"""The lists that rankers make: of the candidates that may bid on each notice, the best first.

Reads   a ranker's scores, a block of notices at a time
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bidrec.ranking.eligibility import Eligible
from bidrec.ranking.ranker import Ranker
from bidrec.ranking.topk import best

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

NOBODY = np.empty(0, np.int64)
SCORES_AT_ONCE = 1 << 23
"""Scores in memory at a time, 32 MiB; a block has at least one notice and at most 512."""


def rank_and_read(
    ranker: Ranker,
    notices: Int64,
    candidates_C: Bool,
    depth: int,
    read_A: Int64,
    eligible: Eligible | None = None,
    ranked: Callable[[int], None] = lambda notices: None,
) -> tuple[Int64, Float32]:
    """(Q, K) the best candidates that may bid on each notice, best first, K = min(depth, C), -1 where there are no
    more; and the scores (Q, A) of the companies `read_A`, -inf where one may not.

    `ranked` is told of each block how many notices it was.
    """
    masked_C = np.where(candidates_C, 0, -np.inf).astype(np.float32)
    block = min(512, max(1, SCORES_AT_ONCE // max(1, len(candidates_C))))
    listed = [np.empty((0, min(depth, len(candidates_C))), np.int64)]
    read_QA = np.empty((len(notices), len(read_A)), np.float32)
    for start in range(0, len(notices), block):
        rows = notices[start : start + block]
        scores_BC = ranker.scores(rows)
        # Adding keeps a NaN a NaN, which best() refuses, of whatever company it is.
        scores_BC += masked_C
        if eligible is not None:
            np.add(scores_BC, -np.inf, out=scores_BC, where=~eligible.mask(rows))
        read_QA[start : start + block] = scores_BC[:, read_A]
        best_BK, score_BK = best(scores_BC, depth)
        listed.append(np.where(np.isneginf(score_BK), -1, best_BK))
        ranked(len(rows))
    return np.concatenate(listed), read_QA
