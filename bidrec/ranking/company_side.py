"""The other way round: of a period's notices, which ones a company bids on.

For each company that was known and bid in the period, the period's notices are ranked by the scores that rank companies
for a notice. All of a company's bids of the period count, and the macro average is over (company, period). With
periods of a week this is the morning list of a company: what was published since the last one.

Dimension letters: Q notices of a period, A companies that bid in it, K notices listed, P bids.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from bidrec.ranking import metrics
from bidrec.ranking.eligibility import Eligible
from bidrec.ranking.ground_truth import Truth
from bidrec.ranking.metrics import compare
from bidrec.ranking.topk import best

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

TOP_K = (10, 50)
CHOSEN_BY = "recall@10"
METRICS = ("recall@10", "recall@50", "hr@10", "ndcg@10", "mrr")
MOST_SCORES = 1 << 25
"""Scores of a period in memory, 128 MiB; where there are more, every n-th company is looked at."""


class OtherWay:
    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.values: dict[str, dict[str, list[Float64]]] = {}
        self.open_notices: list[int] = []
        """Of each query."""
        self.eligible_notices: list[int] = []
        """Of these, on how many its company may bid: a list is made of them alone."""

    def begin(self, queries: slice, known_P: Bool, eligible: Eligible | None = None) -> Int64:
        """Start a period, the notices at `queries` of the truth; `known_P`: whether each bid's company was known by
        then; `eligible`: who may bid on what, None for all on all. Returns the rows (A,) of the companies whose scores
        are wanted."""
        truth = self.truth
        inside = (truth.query >= queries.start) & (truth.query < queries.stop) & known_P
        active = np.unique(truth.company[inside])
        notices = queries.stop - queries.start
        active = active[:: max(1, -(-notices * len(active) // MOST_SCORES))]
        inside &= np.isin(truth.company, active)
        company = np.searchsorted(active, truth.company[inside])
        order = np.argsort(company, kind="stable")
        self._company, self._notice = company[order], (truth.query[inside] - queries.start)[order]
        self.open_notices += [notices] * len(active)
        may_bid = eligible and eligible.mask(truth.notices[queries], active).sum(axis=0).tolist()
        self.eligible_notices += may_bid or [notices] * len(active)
        return active

    def add(self, ranker: str, score_QA: Float32) -> None:
        """One ranker's scores of the period's notices for the companies `begin` returned; -inf is never listed."""
        companies = score_QA.shape[1]
        if not companies:
            return
        listed_AK, score_AK = best(np.ascontiguousarray(score_QA.T), max(TOP_K))
        ranks = metrics.ranks_of(np.where(np.isneginf(score_AK), -1, listed_AK), self._company, self._notice)
        found = metrics.per_notice(ranks, self._company, np.ones(len(ranks), bool), companies, TOP_K)
        of_ranker = self.values.setdefault(ranker, {name: [] for name in METRICS})
        for name in METRICS:
            of_ranker[name].append(found[name])

    def result(self, resamples: int, seed: int, model: str, mode: str) -> dict[str, Any] | None:
        """As evaluate_periods, with `queries`, `open_notices` and `eligible_notices` (means per query); None where
        nobody bid."""
        if not self.values:
            return None
        values = {
            ranker: {name: np.concatenate(parts) for name, parts in of_ranker.items()}
            for ranker, of_ranker in self.values.items()
        }
        compared = compare(values, {}, resamples, seed, model=model, mode=mode, chosen_by=CHOSEN_BY)
        return {
            "queries": len(self.open_notices),
            "open_notices": float(np.mean(self.open_notices)),
            "eligible_notices": float(np.mean(self.eligible_notices)),
            **compared,
        }
