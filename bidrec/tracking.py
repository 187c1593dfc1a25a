"""Optional: a finished run told to MLflow and to TensorBoard, beside its own files.

Reads   the run's folder: configuration, learning curve, metrics, page and card
Writes  a run of that name on the MLflow server of tracking.mlflow; runs/ID/tensorboard

Off by default. The packages are those of requirements/tracking.txt, imported only here and only where they are wanted.
Whatever goes wrong is a warning: the run is finished already.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

from bidrec.config import Config
from bidrec.operations import log
from bidrec.ranking.names import BEST_BASELINE, MODEL, TOWERS
from bidrec.runs.run import Run
from bidrec.storage.sealed import read_manifest
from bidrec.storage.whole import whole_folder

EXPERIMENT = "bidrec"
"""MLflow's experiment, unless the environment names another, as for MLflow's own commands."""
FOLDER = "tensorboard"
FILES = ("report.html", "model_card.md", "model_card.json", "metrics.json")
PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
"""A server that is not there costs seconds and not a quarter of an hour, unless the environment says otherwise."""
SILENCE = {"MLFLOW_DISABLE_TELEMETRY": "true"}
"""MLflow's client would report to its makers over the internet, wherever the server is; likewise."""

_logger = log.get("tracking")


def track(config: Config, run: Run) -> None:
    """Tell each tracker that is switched on."""
    if config.tracking.mlflow:
        _tell("MLflow", lambda: to_mlflow(config.tracking.mlflow, run))
    if config.tracking.tensorboard:
        _tell("TensorBoard", lambda: to_tensorboard(run))


def _tell(name: str, record: Callable[[], str]) -> None:
    try:
        _logger.info("tracked", by=name, where=record())
    except ImportError as error:
        hint = "pip install -r requirements/tracking.txt"
        _logger.warning(f"{name} is not installed: the run is not tracked", missing=error.name, hint=hint)
    except Exception as error:
        _logger.warning(f"{name} took nothing: the run is not tracked", error=f"{type(error).__name__}: {error}")


def to_mlflow(address: str, run: Run) -> str:
    """One MLflow run: settings as parameters, curve and metrics, page and card as artifacts; returns its id."""
    for name, setting in (PATIENCE | SILENCE).items():
        os.environ.setdefault(name, setting)
    if address.startswith("file:"):
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=address)
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    experiment = client.get_experiment_by_name(name)
    number = experiment.experiment_id if experiment else client.create_experiment(name)
    told: str = client.create_run(number, run_name=run.id).info.run_id
    try:
        for key, setting in parameters(run):
            client.log_param(told, key, setting)
        for tag, value, step in scalars(run):
            client.log_metric(told, _allowed(tag), value, step=step)
        for name in FILES:
            if (run.folder / name).is_file():
                client.log_artifact(told, str(run.folder / name))
    except BaseException:
        client.set_terminated(told, status="FAILED")
        raise
    client.set_terminated(told)
    return told


def to_tensorboard(run: Run) -> str:
    """Event files in the run's folder; returns where."""
    from torch.utils.tensorboard import SummaryWriter

    target, told = run.folder / FOLDER, list(scalars(run))
    with whole_folder(target) as staging:
        writer = SummaryWriter(str(staging))
        for tag, value, step in told:
            writer.add_scalar(tag, value, step)
        writer.close()
    return str(target)


def parameters(run: Run) -> Iterator[tuple[str, str]]:
    """The settings a run's result depends on, as `table.key` and text."""
    for table, settings in run.settings().items():
        if isinstance(settings, dict) and table != "source":
            yield from ((f"{table}.{key}", str(value)) for key, value in settings.items())


def scalars(run: Run) -> Iterator[tuple[str, float, int]]:
    """(tag, value, step): the learning curve by epoch, the second training's apart, then every metric as of its end."""
    curve: list[dict[str, Any]] = (read_manifest(run.folder) or {}).get("curve", [])
    for epoch in curve:
        training = "training" if "validation_recall@100" in epoch else "training anew"
        for name, value in epoch.items():
            if name != "epoch":
                yield f"{training}/{name}", float(value), epoch["epoch"] + 1
    metrics = run.metrics()
    for mode, table in metrics["metrics"].items():
        for ranker in (MODEL, TOWERS, metrics[BEST_BASELINE]):
            for name, value in table.get(ranker, {}).items():
                if isinstance(value, float):
                    yield f"{mode} {ranker}/{name}", value, len(curve)
    if metrics["difference"]:
        yield "lead/recall@100", metrics["difference"]["mean"], len(curve)


def _allowed(tag: str) -> str:
    """The tag without what MLflow refuses in a name."""
    return tag.replace("@", " at ")
