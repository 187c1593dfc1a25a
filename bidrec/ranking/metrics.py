"""How good a ranking is, notice by notice: from the place at which each true bidder is listed.

All figures follow from one array, the rank of every bid that happened; no loop runs over notices.
Dimension letters: Q notices, K companies listed, P bids that happened.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bidrec.ranking.names import BEST_BASELINE, CEILING, ORACLE, TOWERS

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

DEPTH = 100
"""Places of a list that MRR, and recall of parts of the bids, look at."""
LONG_TAIL = 0.8
"""Share of the candidates, those with the fewest known bids, that are the long tail."""
NOT_LISTED = np.iinfo(np.int64).max


def ranks_of(listed_QK: Int64, query_P: Int64, company_P: Int64) -> Int64:
    """(P,) place, from 0, of each bid's company in the list of its notice; NOT_LISTED where it is not there.

    `listed_QK` holds company rows, the best first, each at most once a row, -1 where the list ends early; K >= 1.
    """
    span = int(max(listed_QK.max(initial=0), company_P.max(initial=0))) + 2
    order = np.argsort(listed_QK, axis=1)
    keys = (np.arange(len(listed_QK))[:, None] * span + np.take_along_axis(listed_QK, order, axis=1) + 1).ravel()
    wanted = query_P * span + company_P + 1
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, order.ravel()[at], NOT_LISTED)


def ceiling_ranks(query_P: Int64, known_P: Bool) -> Int64:
    """(P,) ranks in the best list there can be: known bidders first, unknown ones nowhere. `query_P` ascends."""
    before: Int64 = np.cumsum(known_P) - known_P
    first_of_query: Int64 = before[np.searchsorted(query_P, query_P)]
    return np.where(known_P, before - first_of_query, NOT_LISTED)


def per_notice(ranks_P: Int64, query_P: Int64, known_P: Bool, queries: int, ks: tuple[int, ...]) -> dict[str, Float64]:
    """Each metric's (Q,) values; NaN where it is undefined for a notice. Every notice has a bid.

    recall@k, for `ks`, 10 and 100: listed bidders among ALL bidders; one that was unknown at the time is a miss for
    everyone. hr@10: 1 where any bidder is among the first ten. ndcg@10: against all bidders listed first. mrr: 1 /
    place of the first bidder, 0 beyond 100. warm_, cold_recall@100: among the known, the unknown bidders only;
    single_, multi_recall@100: of the notices with one, with several bidders only.
    """

    def total(weights_P: npt.NDArray) -> Float64:
        return np.bincount(query_P, weights_P, queries).astype(np.float64)

    bidders = np.bincount(query_P, minlength=queries).astype(np.float64)
    values = {f"recall@{k}": total(ranks_P < k) / bidders for k in sorted({*ks, 10, DEPTH})}
    values["hr@10"] = (values["recall@10"] > 0).astype(np.float64)
    values["ndcg@10"] = total(_gain(ranks_P, 10)) / np.cumsum(_discount(10))[np.minimum(bidders, 10).astype(int) - 1]
    first = np.full(queries, NOT_LISTED)
    np.minimum.at(first, query_P, ranks_P)
    values["mrr"] = np.where(first < DEPTH, 1 / (1.0 + first), 0.0)
    listed = ranks_P < DEPTH
    values["warm_recall@100"] = _share(total(listed & known_P), total(known_P))
    values["cold_recall@100"] = _share(total(listed & ~known_P), total(~known_P))
    values["single_recall@100"] = np.where(bidders == 1, values["recall@100"], np.nan)
    values["multi_recall@100"] = np.where(bidders > 1, values["recall@100"], np.nan)
    return values


def depths_of(row: Mapping[str, Any]) -> list[int]:
    """Every K whose recall@K is among a ranker's figures, ascending: those of evaluation.top_k, 10 and 100."""
    found = (name.removeprefix("recall@") for name in row if name.startswith("recall@"))
    return sorted(int(depth) for depth in found if depth.isdigit())


def of_the_lists(listed_QK: Int64, candidates_C: Bool, known_bids_C: Int64) -> dict[str, float]:
    """coverage@10: share of the candidates that are anywhere among a first ten; long_tail_share@10: the part of the
    first tens that goes to the 80 % of candidates with the fewest known bids (of equals, the higher rows). gini@10: how
    unevenly the candidates are shown there, 0 where all are shown equally often, near 1 where a few have it all."""
    candidates = np.flatnonzero(candidates_C)
    by_bids = candidates[np.argsort(-known_bids_C[candidates], kind="stable")]
    tail = np.zeros(len(candidates_C), bool)
    tail[by_bids[len(by_bids) - int(LONG_TAIL * len(by_bids)) :]] = True
    shown = listed_QK[:, :10]
    shown = shown[shown >= 0]
    return {
        "coverage@10": len(np.unique(shown)) / max(1, len(candidates)),
        "long_tail_share@10": float(tail[shown].mean()) if len(shown) else 0.0,
        "gini@10": _gini(np.bincount(shown, minlength=len(candidates_C))[candidates]),
    }


def _gini(times_C: Int64) -> float:
    """The Gini coefficient of how often each is shown; 0 where nobody is."""
    shown, number = int(times_C.sum()), len(times_C)
    if not shown:
        return 0.0
    place = np.arange(1, number + 1)
    return float(2 * (place * np.sort(times_C)).sum() / (number * shown) - (number + 1) / number)


def _discount(k: int) -> Float64:
    return 1 / np.log2(np.arange(2, k + 2))


def _gain(ranks_P: Int64, k: int) -> Float64:
    """(P,) what each bid adds to the DCG@k."""
    return np.append(_discount(k), 0.0)[np.minimum(ranks_P, k)]


def _share(part: Float64, whole: Float64) -> Float64:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


RESAMPLES_AT_ONCE = 64
PERCENTILES = (2.5, 97.5)


def means(values_QM: Float64) -> Float64:
    """(M,) means of the columns without their NaN; NaN for a column that holds nothing else."""
    defined = ~np.isnan(values_QM)
    return _ratio(np.where(defined, values_QM, 0).sum(axis=0), defined.sum(axis=0))


def resampled_means(values_QM: Float64, resamples: int, seed: int) -> Float64:
    """(resamples, M) means over Q notices drawn with replacement, the same draws for every column.

    A NaN is a notice the metric says nothing about: it is drawn like the others and counts for nothing.
    """
    queries = len(values_QM)
    defined = ~np.isnan(values_QM)
    filled = np.where(defined, values_QM, 0.0)
    generator = np.random.default_rng(seed)
    blocks = []
    for start in range(0, resamples, RESAMPLES_AT_ONCE):
        rows = min(RESAMPLES_AT_ONCE, resamples - start)
        drawn = generator.integers(0, queries, (rows, queries)) + np.arange(rows)[:, None] * queries
        weight_RQ = np.bincount(drawn.ravel(), minlength=rows * queries).reshape(rows, queries).astype(np.float64)
        blocks.append(_ratio(weight_RQ @ filled, weight_RQ @ defined))
    return np.concatenate(blocks) if blocks else np.empty((0, values_QM.shape[1]))


def intervals(resampled_RM: Float64) -> list[list[float] | None]:
    """[2.5 %, 97.5 %] of each column; None where a column has no value, or nothing was resampled."""
    found: list[list[float] | None] = []
    for column in resampled_RM.T:
        column = column[~np.isnan(column)]
        found.append([float(edge) for edge in np.percentile(column, PERCENTILES)] if len(column) else None)
    return found


def _ratio(total: Float64, count: npt.NDArray) -> Float64:
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


NO_BASELINE = (TOWERS, CEILING, ORACLE)
"""Shown for comparison: a part of the model, and what no model can be asked to beat."""


def compare(
    values: dict[str, dict[str, Float64]],
    lists: dict[str, dict[str, float]],
    resamples: int,
    seed: int,
    *,
    model: str,
    mode: str,
    chosen_by: str,
) -> dict[str, Any]:
    """All rankers' means and intervals, and the model's lead, from the same resamples of the queries.

    values: ranker -> metric -> (Q,); lists: ranker -> figures of its lists as a whole. `chosen_by`: the metric that
    names the best baseline. Returns `metrics[mode][ranker]`, `baselines`, `best_baseline` and `difference` as
    evaluate_periods says.
    """
    names = list(next(iter(values.values())))
    value_QM = np.stack([of_ranker[name] for of_ranker in values.values() for name in names], axis=1)
    shape = (-1, len(values), len(names))
    mean = dict(zip(values, means(value_QM).reshape(shape)[0], strict=True))
    resampled = resampled_means(value_QM, resamples, seed).reshape(shape)
    drawn = {ranker: resampled[:, at] for at, ranker in enumerate(values)}
    table = {name: _figures(names, mean[name], lists.get(name, {}), drawn[name]) for name in values}
    baselines = [name for name in values if name not in (model, *NO_BASELINE)]
    best_baseline = max(baselines, key=lambda name: table[name][chosen_by], default=None)
    difference = None
    if best_baseline is not None and model in values:
        ahead = _figures(names, mean[model] - mean[best_baseline], {}, drawn[model] - drawn[best_baseline])
        by_metric = {name: {"mean": ahead[name], "ci": ahead["ci"][name]} for name in names}
        difference = {"model": model, "baseline": best_baseline, "metric": chosen_by, **by_metric[chosen_by]}
        difference["by_metric"] = by_metric
    return {"metrics": {mode: table}, "baselines": baselines, BEST_BASELINE: best_baseline, "difference": difference}


def _figures(names: list[str], mean_M: Float64, of_lists: dict[str, float], drawn_RM: Float64) -> dict[str, Any]:
    means: dict[str, Any] = {
        name: None if np.isnan(value) else float(value) for name, value in zip(names, mean_M, strict=True)
    }
    return means | of_lists | {"ci": dict(zip(names, intervals(drawn_RM), strict=True))}
