"""bidrec runs: the runs in the home, and where each of them stands."""

from typing import Any

from bidrec.config import Config
from jobs.options import command
from jobs.output import Result


@command
def runs(config: Config) -> Result:
    """List the runs, the newest last."""
    from rich.table import Table

    from bidrec.runs import all_runs

    rows = [_facts(run) for run in all_runs(config.home_path)]
    if not rows:
        return Result(data={"runs": []}, text=f"No run in {config.home_path / 'runs'} yet: bidrec train makes one.")
    table = Table("run", "state", "made by", "train before", "test notices", "Recall@100", "best baseline")
    for row in rows:
        table.add_row(*(str(value) if value is not None else "" for value in row.values()))
    return Result(data={"runs": rows}, text=table)


def _facts(run: Any) -> dict[str, Any]:
    made_by = "backtest" if run.backtest else "train"
    if not run.finished:
        return {"run": run.id, "state": "unfinished", "made_by": made_by, "train_before": None} | dict.fromkeys(
            ("test_notices", "recall@100", "best_baseline")
        )
    metrics = run.metrics()
    frozen, best = metrics["metrics"]["frozen"], metrics["best_baseline"]
    return {
        "run": run.id,
        "state": "finished",
        "made_by": made_by,
        "train_before": metrics["window"]["from"][:10],
        "test_notices": metrics["window"]["notices"],
        "recall@100": round(frozen["final"]["recall@100"], 3),
        "best_baseline": f"{best} {frozen[best]['recall@100']:.3f}",
    }
