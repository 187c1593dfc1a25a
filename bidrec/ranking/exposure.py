"""What it costs, and what it does, to show small firms more often: the final ranking at several strengths.

Reads   the candidates of the final ranking with their scores, what each company is held back by, the truth of a window
Returns what becomes metrics.json's `exposure`
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bidrec.ranking import metrics
from bidrec.ranking.truth import Truth

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

SHOWN = 10
"""Places of a list that are looked at."""


def at_strengths(
    pairs: tuple[Int64, Int64, Float32],
    lasting_C: Float32,
    truth: Truth,
    candidates_C: Bool,
    strengths: Sequence[float],
) -> list[dict[str, Any]]:
    """The first ten of every notice at each strength of `ranking.exposure`: how good they are and whom they show.

    pairs: query (ascending), company and score of each candidate, (P,); lasting_C: (C,) what a company's score loses at
    strength 1. Returns `exposure` (the strength), recall@10, ndcg@10 and what metrics.of_the_lists says.
    """
    company_QM, score_QM = _by_query(*pairs, len(truth.notices))
    known_P = candidates_C[truth.company]
    found = []
    for strength in strengths:
        held_back_QM = score_QM - np.float32(strength) * np.where(company_QM >= 0, lasting_C[company_QM], 0)
        order = np.argsort(-held_back_QM, axis=1, kind="stable")[:, :SHOWN]
        listed_QK = np.take_along_axis(company_QM, order, axis=1)
        ranks_P = metrics.ranks_of(listed_QK, truth.query, truth.company)
        values = metrics.per_notice(ranks_P, truth.query, known_P, len(truth.notices), (SHOWN,))
        figures = {name: float(values[name].mean()) for name in ("recall@10", "ndcg@10")}
        lists = metrics.of_the_lists(listed_QK, candidates_C, truth.known_bids)
        found.append({"exposure": strength, **figures, **lists})
    return found


def _by_query(query: Int64, company: Int64, score: Float32, queries: int) -> tuple[Int64, Float32]:
    """(Q, M) companies and scores, -1 and -inf where a notice has fewer candidates; M is at least 1."""
    counts = np.bincount(query, minlength=queries)
    company_QM = np.full((queries, max(1, counts.max(initial=0))), -1, np.int64)
    score_QM = np.full(company_QM.shape, -np.inf, np.float32)
    place = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
    company_QM[query, place], score_QM[query, place] = company, score
    return company_QM, score_QM
