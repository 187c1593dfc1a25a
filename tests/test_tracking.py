"""A run's figures told to the real MLflow file store and the real TensorBoard; what goes wrong stops nothing."""

import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import structlog

from bidrec.config import Config, Tracking
from bidrec.runs.run import Run
from bidrec.storage.sealed import write_json
from bidrec.tracking import parameters, scalars, track

CURVE = [
    {"epoch": 0, "loss": 3.5, "validation_recall@100": 0.25},
    {"epoch": 1, "loss": 3.0, "validation_recall@100": 0.5},
    {"epoch": 0, "loss": 3.25},
]
TABLE = {
    "final": {"recall@100": 0.75, "cold_recall@100": None, "ci": {"recall@100": [0.5, 1.0]}},
    "towers": {"recall@100": 0.5},
    "counts": {"recall@100": 0.625},
    "popularity": {"recall@100": 0.125},
}
needs_mlflow = pytest.mark.skipif(
    find_spec("mlflow") is None, reason="no mlflow: pip install -r requirements/tracking.txt"
)
needs_tensorboard = pytest.mark.skipif(
    find_spec("tensorboard") is None, reason="no tensorboard: pip install -r requirements/tracking.txt"
)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run(tmp_path / "runs" / "20250101T000000Z-abcdef")
    config = replace(Config(), tracking=Tracking(mlflow="http://user:secret@mlflow"))
    write_json(run.folder / "config.json", {"config": config.as_dict()})
    metrics = {"metrics": {"frozen": TABLE}, "best_baseline": "counts", "difference": {"mean": 0.125}}
    write_json(run.folder / "metrics.json", metrics)
    (run.folder / "report.html").write_text("<p>page</p>")
    run.finish(curve=CURVE)
    return run


def test_the_two_trainings_are_two_curves_and_only_numbers_are_told(run: Run) -> None:
    told = list(scalars(run))
    assert [(step, value) for tag, value, step in told if tag == "training/loss"] == [(1, 3.5), (2, 3.0)]
    assert [(step, value) for tag, value, step in told if tag == "training anew/loss"] == [(1, 3.25)]
    last = {tag: value for tag, value, step in told if step == len(CURVE)}
    assert last == {
        "frozen final/recall@100": 0.75,
        "frozen towers/recall@100": 0.5,
        "frozen counts/recall@100": 0.625,
        "lead/recall@100": 0.125,
    }


def test_no_address_is_among_the_parameters(run: Run) -> None:
    told = dict(parameters(run))
    assert told["training.seed"] == "7"
    assert not any(key.startswith("source") for key in told)
    assert "secret" not in str(told)


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of an MLflow in files."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return (tmp_path / "mlruns").as_uri()


@needs_mlflow
def test_mlflow_has_the_settings_the_figures_and_the_page(run: Run, address: str) -> None:
    from mlflow.tracking import MlflowClient

    track(replace(Config(), tracking=Tracking(mlflow=address)), run)
    client = MlflowClient(tracking_uri=address)
    (found,) = client.search_runs([client.get_experiment_by_name("bidrec").experiment_id])
    assert (found.info.run_name, found.info.status) == (run.id, "FINISHED")
    assert found.data.params["training.seed"] == "7"
    assert found.data.metrics["frozen final/recall at 100"] == 0.75
    history = client.get_metric_history(found.info.run_id, "training/validation_recall at 100")
    assert [(one.step, one.value) for one in history] == [(1, 0.25), (2, 0.5)]
    assert {one.path for one in client.list_artifacts(found.info.run_id)} == {"report.html", "metrics.json"}


@needs_mlflow
def test_the_environment_names_the_experiment_so_that_two_markets_have_one_each(
    run: Run, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    for market in ("Odisha", "Himachal Pradesh"):
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", market)
        track(replace(Config(), tracking=Tracking(mlflow=address)), run)
    client = MlflowClient(tracking_uri=address)
    for market in ("Odisha", "Himachal Pradesh"):
        (found,) = client.search_runs([client.get_experiment_by_name(market).experiment_id])
        assert found.info.run_name == run.id
    assert client.get_experiment_by_name("bidrec") is None


@needs_tensorboard
def test_tensorboard_has_the_figures(run: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = replace(Config(), tracking=Tracking(tensorboard=True))
    track(config, run)
    track(config, run)  # again: the same, and not twice
    events = EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    assert [(one.step, one.value) for one in events.Scalars("training/loss")] == [(1, 3.5), (2, 3.0)]
    assert [one.value for one in events.Scalars("lead/recall@100")] == [0.125]


def test_by_default_nothing_is_told_and_nothing_written(run: Run) -> None:
    before = sorted(run.folder.iterdir())
    with structlog.testing.capture_logs() as logs:
        track(Config(), run)
    assert sorted(run.folder.iterdir()) == before
    assert logs == []


def test_a_package_that_is_not_there_is_a_warning_that_says_how_to_get_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mlflow.tracking", None)
    with structlog.testing.capture_logs() as logs:
        track(replace(Config(), tracking=Tracking(mlflow="http://mlflow")), run)
    assert [one["log_level"] for one in logs] == ["warning"]
    assert "requirements/tracking.txt" in logs[0]["hint"]


@needs_mlflow
def test_a_server_that_does_not_answer_is_a_warning(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with structlog.testing.capture_logs() as logs:
        track(replace(Config(), tracking=Tracking(mlflow="http://127.0.0.1:9")), run)
    assert [one["log_level"] for one in logs] == ["warning"]
    assert "not tracked" in logs[0]["event"]


@needs_tensorboard
def test_a_run_that_lacks_its_metrics_is_a_warning_and_leaves_no_half_folder(run: Run) -> None:
    (run.folder / "metrics.json").unlink()
    with structlog.testing.capture_logs() as logs:
        track(replace(Config(), tracking=Tracking(tensorboard=True)), run)
    assert [one["log_level"] for one in logs] == ["warning"]
    assert not (run.folder / "tensorboard").exists()


ASKED = """
import atexit, sys
asked = set()
atexit.register(lambda: print(sorted(map(str, asked))))  # before all others, so that it is called after them
sys.addaudithook(lambda event, given: asked.add(given[0]) if event == "socket.getaddrinfo" else None)
from pathlib import Path
from bidrec.runs.run import Run
from bidrec.tracking import to_mlflow
to_mlflow(sys.argv[1], Run(Path(sys.argv[2])))
"""


@needs_mlflow
def test_nobody_but_the_server_is_told_of_a_run(run: Run, tmp_path: Path) -> None:
    """MLflow's client would tell its makers what it is used for; it holds its tongue in a CI and below pytest alone."""
    silent = ("CI", "PYTEST_", "MLFLOW_", "DO_NOT_TRACK", "GITHUB_", "JENKINS_", "GITLAB_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(silent)}
    command = [sys.executable, "-c", ASKED, (tmp_path / "mlflow").as_uri(), str(run.folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
