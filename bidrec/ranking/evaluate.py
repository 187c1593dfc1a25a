"""One table: every ranker's metrics on a window, with intervals, the ceiling, and the model against the best baseline.

Reads   rankers (the model as vectors, the baselines), the truth of a window
Writes  what becomes metrics.json
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bidrec import log
from bidrec.config import Evaluation
from bidrec.ranking import metrics
from bidrec.ranking.compare import compare
from bidrec.ranking.eligibility import Eligible
from bidrec.ranking.other_way import OtherWay
from bidrec.ranking.ranker import Ranker
from bidrec.ranking.segments import Found, Labels, by_segment
from bidrec.ranking.topk import best
from bidrec.ranking.truth import Truth
from bidrec.training_set.splits import iso_of

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

NOBODY = np.empty(0, np.int64)
CHOSEN_BY = "recall@100"
"""The metric that names the best baseline, and whose course over the weeks is told."""
WEEK = 7 * 86_400
"""In seconds."""
SCORES_AT_ONCE = 1 << 23
"""Scores in memory at a time, 32 MiB; a block has at least one notice and at most 512."""


def evaluate(
    rankers: Mapping[str, Ranker],
    truth: Truth,
    candidates_C: Bool,
    settings: Evaluation,
    *,
    model: str,
    mode: str = "frozen",
    seed: int = 7,
) -> dict[str, Any]:
    """Rank the candidates for every notice of `truth` by every ranker, and measure.

    Returns `window`, `metrics[mode][ranker][metric]` with `ci` beside (metrics.per_notice and metrics.of_the_lists say
    what each is; None where it is undefined for every notice), `baselines`, `best_baseline`, `difference` (model minus
    best baseline, paired by notice; None where either is missing), `seconds`, and `by_week[mode]`: how Recall@100 goes
    on with the weeks since the window's beginning, as by_week() says. The ranker `ceiling` is the best there can be
    when bidders that are no candidates cannot be listed. A catalogue smaller than K is listed whole.
    """
    whole = Period(slice(0, len(truth.notices)), rankers, candidates_C)
    return evaluate_periods([whole], truth, settings, model=model, mode=mode, seed=seed)


@dataclass(frozen=True)
class Period:
    """A stretch of the window's notices, and who ranks whom in it."""

    queries: slice
    """Positions in truth.notices."""
    rankers: Mapping[str, Ranker]
    candidates_C: Bool
    eligible: Eligible | None = None
    """Of the candidates, who may bid on which notice; None: all on all."""


def evaluate_periods(
    periods: Iterable[Period],
    truth: Truth,
    settings: Evaluation,
    *,
    model: str,
    mode: str = "rolling",
    other_way: bool = False,
    segments: Mapping[str, Labels] | None = None,
    seed: int = 7,
) -> dict[str, Any]:
    """The same where rankers and candidates are renewed during the window.

    The periods follow each other and cover truth.notices; each has the same rankers by name. They are asked for one at
    a time, so only one period's rankers need be in memory. With `other_way`, the same scores are read the other way
    too: which of a period's notices suit each company (other_way.py says what that adds). With `segments`, the labels
    of the truth's notices by kind, `segments` says how Recall@100 differs between them (segments.py).
    """
    sideways = OtherWay(truth) if other_way else None
    depth = max(*settings.top_k, metrics.DEPTH)
    tell = _Ranked(f"ranking, {mode}")
    listed: dict[str, list[Int64]] = {}
    seconds: dict[str, float] = {}
    known_P, listable_P = np.zeros((2, len(truth.company)), bool)
    candidates_C = np.zeros(len(truth.known_bids), bool)
    for period in periods:
        of_period = (truth.query >= period.queries.start) & (truth.query < period.queries.stop)
        known_P[of_period] = period.candidates_C[truth.company[of_period]]
        listable_P[of_period] = known_P[of_period] & _may_bid(period, truth, of_period)
        candidates_C |= period.candidates_C
        active_A = sideways.begin(period.queries, known_P) if sideways else NOBODY
        tell.whole = len(truth.notices) * len(period.rankers)
        for name, ranker in period.rankers.items():
            began = time.perf_counter()
            notices = truth.notices[period.queries]
            lists, score_QA = rank_and_read(
                ranker, notices, period.candidates_C, depth, active_A, period.eligible, tell
            )
            listed.setdefault(name, []).append(lists)
            if sideways:
                sideways.add(name, score_QA)
            seconds[name] = round(seconds.get(name, 0) + time.perf_counter() - began, 2)
    listed_QK = {name: np.concatenate(lists) for name, lists in listed.items()}
    result = {
        "window": _window(truth, candidates_C, known_P),
        "seconds": seconds,
        **_measure(listed_QK, truth, candidates_C, known_P, listable_P, settings, seed, model, mode, segments),
    }
    return result | ({"for_companies": sideways.result(settings.bootstrap, seed, model, mode)} if sideways else {})


@dataclass
class _Ranked:
    """Tells how many lists, a ranker's of a notice, there are of `whole`."""

    event: str
    done: int = 0
    whole: int = 0

    def __call__(self, lists: int) -> None:
        self.done += lists
        log.get("evaluate").info(self.event, done=f"{self.done}/{self.whole}")


def _may_bid(period: Period, truth: Truth, bids: Bool) -> Bool:
    """Whether the companies behind these bids (P,) bool were allowed to."""
    notices, companies = truth.notices[truth.query[bids]], truth.company[bids]
    return np.ones(len(companies), bool) if period.eligible is None else period.eligible.pairs(notices, companies)


def _measure(
    listed: Mapping[str, Int64],
    truth: Truth,
    candidates_C: Bool,
    known_P: Bool,
    listable_P: Bool,
    settings: Evaluation,
    seed: int,
    model: str,
    mode: str,
    segments: Mapping[str, Labels] | None,
) -> dict[str, Any]:
    values: dict[str, dict[str, Float64]] = {}
    found: dict[str, Found] = {}
    for name, listed_QK in listed.items():
        ranks_P = metrics.ranks_of(listed_QK, truth.query, truth.company)
        values[name] = _per_notice(ranks_P, truth, known_P, settings)
        found[name] = Found(values[name][CHOSEN_BY], ranks_P < metrics.DEPTH)
        recall = round(float(values[name][CHOSEN_BY].mean()), 4)
        log.get("evaluate").info("ranked", ranker=name, mode=mode, recall_at_100=recall)
    lists = {name: metrics.of_the_lists(lists, candidates_C, truth.known_bids) for name, lists in listed.items()}
    values["ceiling"] = _per_notice(metrics.ceiling_ranks(truth.query, listable_P), truth, known_P, settings)
    compared = compare(values, lists, settings.bootstrap, seed, model=model, mode=mode, chosen_by=CHOSEN_BY)
    told = {"by_week": {mode: by_week(truth, {name: of[CHOSEN_BY] for name, of in values.items()})}}
    if segments is not None:
        best, own = compared["best_baseline"], found.get(model)
        ahead_Q = own.recall_Q - found[best].recall_Q if own and best else None
        told["segments"] = by_segment(truth, segments, known_P, found, ahead_Q, settings.bootstrap, seed)
    return compared | told


def by_week(truth: Truth, value_Q: Mapping[str, Float64]) -> list[dict[str, Any]]:
    """Each ranker's mean Recall@100 of the notices published in each week of the window that has any.

    Week 1 is the first seven days; the last one may be shorter, hence `notices`, which says how many a mean is of.
    """
    week_Q = (truth.published_at - truth.lo) // WEEK
    return [
        {
            "week": int(week) + 1,
            "notices": int((week_Q == week).sum()),
            CHOSEN_BY: {name: float(values[week_Q == week].mean()) for name, values in value_Q.items()},
        }
        for week in np.unique(week_Q)
    ]


def rank(ranker: Ranker, notices: Int64, candidates_C: Bool, depth: int) -> Int64:
    """(Q, K) the best candidates for each notice, best first, K = min(depth, C); -1 where there are no more."""
    return rank_and_read(ranker, notices, candidates_C, depth, NOBODY)[0]


def rank_and_read(
    ranker: Ranker,
    notices: Int64,
    candidates_C: Bool,
    depth: int,
    read_A: Int64,
    eligible: Eligible | None = None,
    ranked: Callable[[int], None] = lambda notices: None,
) -> tuple[Int64, Float32]:
    """The same of those who may bid, and the scores (Q, A) of the companies `read_A`, -inf where one may not.

    `ranked` is told of each block how many notices it was."""
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


def _per_notice(ranks_P: Int64, truth: Truth, known_P: Bool, settings: Evaluation) -> dict[str, Float64]:
    return metrics.per_notice(ranks_P, truth.query, known_P, len(truth.notices), settings.top_k)


def _window(truth: Truth, candidates_C: Bool, known_P: Bool) -> dict[str, Any]:
    return {
        "from": iso_of(truth.lo),
        "until": iso_of(truth.hi),
        "notices": len(truth.notices),
        "without_bids": truth.without_bids,
        "bids": len(truth.company),
        "candidates": int(candidates_C.sum()),
        "companies": len(candidates_C),
        "cold_share": float(1 - known_P.mean()),
    }
