"""The published run and the last ten, beside each other.

Reads   runs/*/metrics.json
"""

from pathlib import Path
from typing import Any

from bidrec.ranking.names import MODEL, comparable
from bidrec.runs.found import all_runs
from bidrec.runs.run import Run

LAST = 10


def compared_runs(home: Path, run: Run, published: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The last finished runs, this one and the published one, oldest first; `same_test` says which of them were
    measured by the same code on this run's test window of the same data, so that their figures compare."""
    finished = [one for one in all_runs(home) if one.finished]
    wanted = {one.id for one in finished[-LAST:]} | {run.id} | ({published["run"]} if published else set())
    own = run.metrics()
    return [_row(one, own, published) for one in finished if one.id in wanted]


def _row(one: Run, own: dict[str, Any], published: dict[str, Any] | None) -> dict[str, Any]:
    metrics = one.metrics()
    row, best = metrics["metrics"]["frozen"][MODEL], metrics["best_baseline"]
    return {
        "run": one.id,
        "backtest": one.backtest,
        "published": published is not None and published["run"] == one.id,
        "this": one.id == own["run"],
        "same_test": comparable(metrics, own),
        "from": metrics["window"]["from"][:10],
        "notices": metrics["window"]["notices"],
        "recall@100": row["recall@100"],
        "ci": row["ci"]["recall@100"],
        "baseline": best,
        "lead": metrics["difference"],
    }
