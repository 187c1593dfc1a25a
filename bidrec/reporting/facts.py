"""Everything a run's page and its model card tell, as one plain dict.

Reads   runs/ID, the home's lake and features, what is published, the last runs
Read by page.py and model_card.py, which only lay it out

A part that the run does not have (an older run, an evaluation without the rolling mode) is None.
"""

from typing import Any

from bidrec.config import Config
from bidrec.publishing.version import published_folder
from bidrec.ranking.names import MODEL
from bidrec.reporting.comparison import compared_runs
from bidrec.reporting.example_notices import in_words
from bidrec.reporting.market import market
from bidrec.reporting.warnings import warnings_of
from bidrec.runs.run import Run
from bidrec.storage.sealed import read_json, read_manifest


def gather(config: Config, run: Run) -> dict[str, Any]:
    """`config` names the home and the bounds of drift and gate; all else is what the run was made with.

    Raises InputMissing (66) where the run has no metrics.
    """
    home, metrics = config.home_path, run.metrics()
    manifest = read_manifest(run.folder) or {}
    training_set = read_manifest(run.training_set) or {}
    details = read_json(run.folder / "details.json") if (run.folder / "details.json").is_file() else {}
    published = read_manifest(published_folder(home))
    frozen, best = metrics["metrics"]["frozen"], metrics["best_baseline"]
    facts: dict[str, Any] = {
        "run": run.id,
        "backtest": run.backtest,
        "inputs": metrics["inputs"],
        "finished_at": manifest.get("finished_at"),
        "bidrec": manifest.get("bidrec"),
        "packages": manifest.get("packages", {}),
        "parameters": manifest.get("parameters"),
        "settings": run.settings(),
        "published": published is not None and published["run"] == run.id,
        "window": metrics["window"],
        "ranker": MODEL,
        "model": frozen[MODEL],
        "baseline": {"name": best, **frozen[best]} if best else None,
        "difference": metrics["difference"],
        "metrics": metrics["metrics"],
        "baselines": metrics["baselines"],
        "for_companies": metrics.get("for_companies"),
        "by_week": metrics.get("by_week", {}),
        "segments": metrics.get("segments"),
        "calibration": metrics.get("calibration"),
        "exposure": metrics.get("exposure"),
        "seconds": metrics["seconds"],
        "curve": manifest.get("curve", []),
        "split": training_set.get("split"),
        "windows": training_set.get("windows", {}),
        "rows": training_set.get("rows", {}),
        "range": training_set.get("range", {}),
        "audit": training_set.get("audit"),
        "blend": _blend(run),
        "market": market(config, training_set),
        "examples": in_words(home, details.get("examples"), training_set),
        "runs": compared_runs(home, run, published),
    }
    return facts | {"warnings": warnings_of(config, run, facts, training_set, metrics, published)}


def _blend(run: Run) -> dict[str, Any] | None:
    """What the second stage learned, by signal."""
    path = run.second_stage / "blend.json"
    return read_json(path) if path.is_file() else None
