"""One table: every ranker's metrics on a window, with intervals, the ceiling, and the model against the best baseline.

Reads   rankers (the model as vectors, the baselines), the truth of a window
Writes  what becomes metrics.json
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from bidrec.config import Evaluation
from bidrec.operations import log
from bidrec.operations.progress import Counted
from bidrec.ranking import metrics
from bidrec.ranking.company_side import OtherWay
from bidrec.ranking.eligibility import Eligible
from bidrec.ranking.ground_truth import Truth
from bidrec.ranking.metrics import compare
from bidrec.ranking.names import BEST_BASELINE, CEILING, CHOSEN_BY
from bidrec.ranking.ranker import Ranker, scores_of
from bidrec.ranking.slices import Found, Labels, by_segment
from bidrec.ranking.topk import best
from bidrec.training_set.splits import iso_of

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


Float64 = npt.NDArray[np.float64]

WEEK = 7 * 86_400
"""In seconds."""
SEED = 7
"""Of the resamples behind the intervals."""


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
) -> dict[str, Any]:
    """Rank the candidates for every notice of `truth` by every ranker, and measure.

    The periods follow each other and cover truth.notices, each with the rankers and candidates of its time; the rankers
    are the same by name. They are asked for one at a time, so only one period's rankers need be in memory.

    Returns `window`, `metrics[mode][ranker][metric]` with `ci` beside (metrics.per_notice and metrics.of_the_lists say
    what each is; None where it is undefined for every notice), `baselines`, `best_baseline`, `difference` (model minus
    best baseline, paired by notice; None where either is missing), `seconds`, and `by_week[mode]`: how Recall@100 goes
    on with the weeks since the window's beginning, as by_week() says. The ranker `ceiling` is the best there can be
    when bidders that are no candidates cannot be listed. A catalogue smaller than K is listed whole.

    With `other_way`, the same scores are read the other way too: which of a period's notices suit each company
    (other_way.py says what that adds). With `segments`, the labels of the truth's notices by kind, `segments` says how
    Recall@100 differs between them (segments.py).
    """
    sideways = OtherWay(truth) if other_way else None
    lists = _Lists(
        truth, max(*settings.top_k, metrics.DEPTH), sideways, Counted(log.get("evaluate"), f"ranking, {mode}")
    )
    for period in periods:
        lists.add(period)
        del period  # or it would still be held while the next one's rankers are made
    result = {
        "window": _window(truth, lists.candidates_C, lists.known_P),
        "seconds": lists.seconds,
        **_measure(lists, settings, model, mode, segments),
    }
    return result | ({"for_companies": sideways.result(settings.bootstrap, SEED, model, mode)} if sideways else {})


class _Lists:
    """What the rankers of all periods list, and who was a candidate when."""

    def __init__(self, truth: Truth, depth: int, sideways: OtherWay | None, tell: Counted) -> None:
        self.truth, self.depth, self.sideways, self.tell = truth, depth, sideways, tell
        self.parts: dict[str, list[Int64]] = {}
        """Each ranker's lists (Q, K), by period."""
        self.seconds: dict[str, float] = {}
        self.known_P, self.listable_P = np.zeros((2, len(truth.company)), bool)
        """Whether the company of each bid was a candidate, and one that may bid."""
        self.candidates_C = np.zeros(len(truth.known_bids), bool)
        """In any period."""

    def add(self, period: Period) -> None:
        truth, queries = self.truth, period.queries
        of_period = (truth.query >= queries.start) & (truth.query < queries.stop)
        self.known_P[of_period] = period.candidates_C[truth.company[of_period]]
        self.listable_P[of_period] = self.known_P[of_period] & _may_bid(period, truth, of_period)
        self.candidates_C |= period.candidates_C
        active_A = self.sideways.begin(queries, self.known_P, period.eligible) if self.sideways else NOBODY
        self.tell.whole = len(truth.notices) * len(period.rankers)
        asked = truth.notices[queries], period.candidates_C, self.depth, active_A, period.eligible, self.tell
        # Parts of one whole together, the others one by one: the scores that are read take memory.
        for _, together in groupby(period.rankers.items(), lambda item: getattr(item[1], "whole", item[0])):
            names, rankers = zip(*together, strict=True)
            for name, ranked in zip(names, rank_and_read(rankers, *asked), strict=True):
                self.parts.setdefault(name, []).append(ranked.listed_QK)
                if self.sideways:
                    self.sideways.add(name, ranked.read_QA)
                self.seconds[name] = round(self.seconds.get(name, 0) + ranked.seconds, 2)


def _may_bid(period: Period, truth: Truth, bids: Bool) -> Bool:
    """Whether the companies behind these bids (P,) bool were allowed to."""
    notices, companies = truth.notices[truth.query[bids]], truth.company[bids]
    return np.ones(len(companies), bool) if period.eligible is None else period.eligible.pairs(notices, companies)


def _measure(
    made: _Lists, settings: Evaluation, model: str, mode: str, segments: Mapping[str, Labels] | None
) -> dict[str, Any]:
    truth, known_P = made.truth, made.known_P
    values: dict[str, dict[str, Float64]] = {}
    found: dict[str, Found] = {}
    listed = {name: np.concatenate(parts) for name, parts in made.parts.items()}
    for name, listed_QK in listed.items():
        ranks_P = metrics.ranks_of(listed_QK, truth.query, truth.company)
        values[name] = _per_notice(ranks_P, truth, known_P, settings)
        found[name] = Found(values[name][CHOSEN_BY], ranks_P < metrics.DEPTH)
        recall = round(float(values[name][CHOSEN_BY].mean()), 4)
        log.get("evaluate").info("ranked", ranker=name, mode=mode, recall_at_100=recall)
    lists = {name: metrics.of_the_lists(lists, made.candidates_C, truth.known_bids) for name, lists in listed.items()}
    values[CEILING] = _per_notice(metrics.ceiling_ranks(truth.query, made.listable_P), truth, known_P, settings)
    compared = compare(values, lists, settings.bootstrap, SEED, model=model, mode=mode, chosen_by=CHOSEN_BY)
    told = {"by_week": {mode: by_week(truth, {name: of[CHOSEN_BY] for name, of in values.items()})}}
    if segments is not None:
        best, own = compared[BEST_BASELINE], found.get(model)
        ahead_Q = own.recall_Q - found[best].recall_Q if own and best else None
        told["segments"] = by_segment(truth, segments, known_P, found, ahead_Q, settings.bootstrap, SEED)
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


def _per_notice(ranks_P: Int64, truth: Truth, known_P: Bool, settings: Evaluation) -> dict[str, Float64]:
    return metrics.per_notice(ranks_P, truth.query, known_P, len(truth.notices), settings.top_k)


def _window(truth: Truth, candidates_C: Bool, known_P: Bool) -> dict[str, Any]:
    thinned = {"notices_with_bids": len(truth.notices) + truth.left_out} if truth.left_out else {}
    return {
        "from": iso_of(truth.lo),
        "until": iso_of(truth.hi),
        "notices": len(truth.notices),
        **thinned,
        "without_bids": truth.without_bids,
        "bids": len(truth.company),
        "candidates": int(candidates_C.sum()),
        "companies": len(candidates_C),
        "cold_share": float(1 - known_P.mean()),
    }
