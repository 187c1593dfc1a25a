"""The lists that rankers make: of the candidates that may bid on each notice, the best first.

Reads   rankers' scores, a block of notices at a time
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bidrec.ranking.eligibility import Eligible
from bidrec.ranking.ranker import Ranker, scores_of
from bidrec.ranking.topk import best

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

NOBODY = np.empty(0, np.int64)
SCORES_AT_ONCE = 1 << 22
"""A ranker's scores in memory at a time, 16 MiB; a block has at least one notice and at most 512."""


@dataclass
class Ranked:
    listed_QK: Int64
    """The best candidates that may bid on each notice, best first, K = min(depth, C), -1 where there are no more."""
    read_QA: Float32
    """The scores of the companies that were to be read, -inf where one may not bid."""
    seconds: float = 0.0


def rank_and_read(
    rankers: Sequence[Ranker],
    notices: Int64,
    candidates_C: Bool,
    depth: int,
    read_A: Int64,
    eligible: Eligible | None = None,
    ranked: Callable[[int], None] = lambda notices: None,
) -> list[Ranked]:
    """What one ranker, or all parts of one whole, make of the Q notices: lists, and the scores of the companies
    `read_A`.

    `ranked` is told of each ranker's blocks how many notices it was.
    """
    queries, companies = len(notices), len(candidates_C)
    shape, read_shape = (queries, min(depth, companies)), (queries, len(read_A))
    made = [Ranked(np.empty(shape, np.int64), np.empty(read_shape, np.float32)) for _ in rankers]
    masked_C = np.where(candidates_C, 0, -np.inf).astype(np.float32)
    size = min(512, max(1, SCORES_AT_ONCE // max(1, companies)))
    for block in (slice(start, start + size) for start in range(0, queries, size)):
        rows, began = notices[block], time.perf_counter()
        barred_BC = None if eligible is None else ~eligible.mask(rows)
        for of_ranker, scores_BC in zip(made, scores_of(rankers, rows), strict=True):
            # Adding keeps a NaN a NaN, which best() refuses, of whatever company it is.
            scores_BC += masked_C
            if barred_BC is not None:
                np.add(scores_BC, -np.inf, out=scores_BC, where=barred_BC)
            of_ranker.read_QA[block] = scores_BC[:, read_A]
            best_BK, score_BK = best(scores_BC, depth)
            of_ranker.listed_QK[block] = np.where(np.isneginf(score_BK), -1, best_BK)
            of_ranker.seconds += time.perf_counter() - began
            began = time.perf_counter()
            ranked(len(rows))
    return made
