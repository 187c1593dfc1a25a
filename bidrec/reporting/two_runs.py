"""Two runs side by side: their figures, what was set otherwise, and whether the figures may be compared at all.

Reads   runs/A and runs/B: metrics.json, config.json
"""

from typing import Any

from bidrec.errors import InputMissing
from bidrec.ranking.names import BEST_BASELINE, MEASURED_BY, MODEL, TOWERS, comparable
from bidrec.runs.run import Run

METRICS = ("recall@10", "recall@100", "ndcg@10", "mrr", "warm_recall@100")
RANKERS = (MODEL, TOWERS, BEST_BASELINE)


def compare(a: Run, b: Run) -> dict[str, Any]:
    """`comparable` (measured by the same code on the same test window of the same data), `figures` and `settings`, each
    with `a`, `b`.

    Raises InputMissing (66) where one is not finished.
    """
    for run in (a, b):
        if not run.finished:
            raise InputMissing(f"run {run.id} is not finished", hint="bidrec train finishes it")
    one, other = a.metrics(), b.metrics()
    return {
        "a": a.id,
        "b": b.id,
        "same_window": one["window"] == other["window"],
        "same_data": one["inputs"] == other["inputs"],
        "same_measure": one.get(MEASURED_BY) == other.get(MEASURED_BY),
        "comparable": comparable(one, other),
        "figures": _figures(one, other),
        "settings": _differing(_flat(a.settings()), _flat(b.settings())),
    }


def _figures(one: dict[str, Any], other: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each mode, ranker and metric; the best baseline of each run is that run's."""
    rows = []
    for mode in one["metrics"]:
        for ranker in RANKERS:
            for metric in METRICS:
                values = [_value(metrics, mode, ranker, metric) for metrics in (one, other)]
                if None not in values:
                    difference = values[1] - values[0]  # type: ignore[operator]
                    row = {"mode": mode, "ranker": ranker, "metric": metric, "a": values[0], "b": values[1]}
                    rows.append(row | {"difference": difference})
    return rows


def _value(metrics: dict[str, Any], mode: str, ranker: str, metric: str) -> float | None:
    name = metrics[BEST_BASELINE] if ranker == BEST_BASELINE else ranker
    return metrics["metrics"].get(mode, {}).get(name, {}).get(metric)


def _differing(one: dict[str, Any], other: dict[str, Any]) -> list[dict[str, Any]]:
    keys = [key for key in sorted(one.keys() | other.keys()) if one.get(key) != other.get(key)]
    return [{"key": key, "a": one.get(key), "b": other.get(key)} for key in keys]


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The settings as dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
