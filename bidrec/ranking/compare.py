"""Rankers beside each other: means, 95 % intervals, and how far the model is ahead of the best baseline."""

from typing import Any

import numpy as np
import numpy.typing as npt

from bidrec.ranking import bootstrap
from bidrec.ranking.names import BEST_BASELINE, CEILING, ORACLE, TOWERS

Float64 = npt.NDArray[np.float64]

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
    mean = dict(zip(values, bootstrap.means(value_QM).reshape(shape)[0], strict=True))
    resampled = bootstrap.resampled_means(value_QM, resamples, seed).reshape(shape)
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
    return means | of_lists | {"ci": dict(zip(names, bootstrap.intervals(drawn_RM), strict=True))}
