"""`bidrec tune` as a user runs it: stopped in a trial, started again, and asked for more."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bidrec.runs.found import all_runs
from jobs.cli import main
from tests.e2e.markets import market
from tests.e2e.test_backtest import TOML
from tests.e2e.test_using import documented

pytest.importorskip("optuna", reason="Optuna is not installed: pip install -r requirements/tune.txt")

BIDREC = Path(sys.executable).with_name("bidrec")
KEYS = ("model.dropout", "training.learning_rate", "model.half_lives")
PATIENCE = 600
"""Seconds after which a call is taken for stuck."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    (home / "bidrec.toml").write_text(TOML.format(source=market(home).source.path), encoding="utf-8")
    return home


def arguments(home: Path, trials: int, *more: str) -> list[str]:
    only = [word for key in KEYS for word in ("--only", key)]
    return ["tune", "--config", str(home / "bidrec.toml"), "--trials", str(trials), *only, *more]


def call(home: Path, *words: str) -> Result:
    return CliRunner().invoke(main, words, env={"BIDREC_HOME": str(home)})


@pytest.fixture(scope="module")
def stopped(home: Path) -> dict:
    """The third trial's settings: a search for three is told to stop when it begins."""
    environment = os.environ | {"BIDREC_HOME": str(home)}
    job = subprocess.Popen(
        [str(BIDREC), *arguments(home, 3)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    assert job.stderr
    log, third = "", ""
    for line in job.stderr:
        log += line
        if '"number": 2' in line:
            third = line
            job.send_signal(signal.SIGTERM)
            break
    out, rest = job.communicate(timeout=PATIENCE)
    assert (job.returncode, out) == (75, ""), (log + rest)[-2000:]
    assert "Traceback" not in log + rest
    return {key: value for key, value in json.loads(third).items() if "." in key}


@pytest.fixture(scope="module")
def found(home: Path, stopped: dict) -> dict:
    done = call(home, *arguments(home, 3, "--json"))
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_a_search_that_was_stopped_keeps_its_trials_and_repeats_the_one_it_was_at(found: dict, stopped: dict) -> None:
    numbers = [row["trial"] for row in found["trials"]]
    assert numbers == [0, 1, 3]
    assert found["trials"][0]["settings"] == {}
    assert stopped
    assert found["trials"][2]["settings"] == stopped


def test_the_best_is_the_best_whole_trial_and_the_search_trained_no_run(home: Path, found: dict) -> None:
    whole = {row[found["metric"]]: row["settings"] for row in found["trials"] if row["state"] == "whole"}
    assert found.keys() == {"schema_version", "command", *documented()["tune"]}
    assert found["best"] == max(whole)
    assert found["settings"] == whole[max(whole)]
    assert found["configured"] == found["trials"][0][found["metric"]]
    assert all_runs(home) == []
    assert not list(home.glob(".tuning.trial"))


def test_a_finished_search_is_only_read_and_its_training_set_is_not_built_again(home: Path, found: dict) -> None:
    (manifest,) = (home / "tuning" / "sets").glob("*/manifest.json")
    written = manifest.stat().st_mtime_ns
    shown = call(home, *arguments(home, 2))
    assert shown.exit_code == 0, shown.stderr
    assert f"{found['best']:.4f}" in shown.stdout
    assert found["toml"] in shown.stdout
    assert manifest.stat().st_mtime_ns == written
    assert len(list((home / "tuning" / "sets").glob("*/manifest.json"))) == 1


def test_windows_lie_before_the_given_cutoffs_and_a_cutoff_in_the_test_window_is_refused(home: Path) -> None:
    refused = call(home, *arguments(home, 1, "--cutoffs", "2025-03-01,2025-06-20"))
    assert (refused.exit_code, refused.stdout) == (64, "")
    assert "2025-06-20" in refused.stderr
    done = call(home, *arguments(home, 1, "--cutoffs", "2025-03-01,2025-05-01", "--json"))
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["windows"] == [
        {"from": "2025-01-30", "until": "2025-03-01"},
        {"from": "2025-04-01", "until": "2025-05-01"},
    ]
