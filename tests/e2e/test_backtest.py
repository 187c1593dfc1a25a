"""`bidrec backtest` as a user runs it: stopped in the middle, started again, and asked for what is there already."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bidrec.runs.found import all_runs, newest
from jobs.cli import main
from tests.e2e.markets import market
from tests.e2e.test_using import documented

BIDREC = Path(sys.executable).with_name("bidrec")
TOML = """
[source]
name = "koneps"
path = "{source}"
[split]
test_days = 20
validation_days = 30
[model]
embedding_dim = 16
table_dim = 32
hidden = [32]
company_hidden = 32
history_length = 16
[training]
epochs = 1
refit = false
[evaluation]
bootstrap = 20
"""
CUTOFFS = "2025-04-01,2025-05-01"
PATIENCE = 600
"""Seconds after which a call is taken for stuck."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a market and its configuration, and no run."""
    home = tmp_path_factory.mktemp("home")
    source = market(home).source.path
    (home / "bidrec.toml").write_text(TOML.format(source=source), encoding="utf-8")
    return home


def arguments(home: Path, cutoffs: str) -> list[str]:
    return ["backtest", "--config", str(home / "bidrec.toml"), "--cutoffs", cutoffs]


@pytest.fixture(scope="module")
def result(home: Path) -> dict:
    """What is printed by a backtest that was told to stop at its second cutoff, and was called again."""
    environment = os.environ | {"BIDREC_HOME": str(home)}
    command = [str(BIDREC), *arguments(home, CUTOFFS), "--json"]
    stopped = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    assert stopped.stderr
    log, second = "", False
    for line in stopped.stderr:
        log += line
        second = second or "cutoff 2 of 2" in line
        if second and "training set written" in line:
            stopped.send_signal(signal.SIGTERM)
            break
    out, rest = stopped.communicate(timeout=PATIENCE)
    assert (stopped.returncode, out) == (75, ""), (log + rest)[-2000:]
    assert "Traceback" not in log + rest
    first, begun = all_runs(home)
    assert (first.finished, begun.finished) == (True, False)
    weights = (first.model / "weights.safetensors").stat().st_mtime_ns

    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert all_runs(home) == [first, begun]
    assert begun.finished
    assert (first.model / "weights.safetensors").stat().st_mtime_ns == weights
    return json.loads(done.stdout)


def test_a_backtest_that_was_stopped_keeps_what_is_finished_and_goes_on_with_the_rest(home: Path, result: dict) -> None:
    assert result.keys() == {"schema_version", "command", *documented()["backtest"]}
    assert [one["cutoff"] for one in result["cutoffs"]] == CUTOFFS.split(",")
    assert [one["run"] for one in result["cutoffs"]] == [run.id for run in all_runs(home)]
    assert [one["window"]["until"][:10] for one in result["cutoffs"]] == ["2025-04-21", "2025-05-21"]


def test_every_figure_is_that_of_the_runs_own_evaluation(home: Path, result: dict) -> None:
    for run, one in zip(all_runs(home), result["cutoffs"], strict=True):
        metrics = run.metrics()
        for mode, table in metrics["metrics"].items():
            for ranker in ("final", "towers", one["baseline"][mode]):
                shown = one["metrics"][mode]["best_baseline" if ranker in metrics["baselines"] else ranker]
                assert shown == {name: table[ranker][name] for name in ("recall@100", "recall@10", "ndcg@10")}
            assert shown["recall@100"] == max(table[name]["recall@100"] for name in metrics["baselines"])


def test_the_weeks_of_a_mode_together_are_its_recall_over_the_whole_window(home: Path, result: dict) -> None:
    for one in result["cutoffs"]:
        for mode, weeks in one["by_week"].items():
            notices = sum(week["notices"] for week in weeks)
            assert [week["week"] for week in weeks] == [1, 2, 3]
            assert notices == one["window"]["notices"]
            for ranker, row in one["metrics"][mode].items():
                of_all = sum(week[ranker] * week["notices"] for week in weeks) / notices
                assert of_all == pytest.approx(row["recall@100"])
    assert [week["cutoffs"] for week in result["by_week"]["rolling"]] == [2, 2, 2]


def test_what_is_there_is_only_read_again_and_nothing_is_published(home: Path, result: dict) -> None:
    shown = CliRunner().invoke(main, arguments(home, CUTOFFS), env={"BIDREC_HOME": str(home)})
    assert shown.exit_code == 0, shown.stderr
    mean = result["summary"]["rolling"]["final"]["recall@100"]
    assert f"{mean['mean']:.3f} ± {mean['sd']:.3f}" in shown.stdout
    assert "by weeks since the cutoff, rolling" in shown.stdout
    assert len(all_runs(home)) == 2
    listed = CliRunner().invoke(main, ["runs", "--json"], env={"BIDREC_HOME": str(home)})
    assert [run["made_by"] for run in json.loads(listed.stdout)["runs"]] == ["backtest", "backtest"]
    assert newest(home) is None
    assert not (home / "published").exists()


@pytest.mark.parametrize("cutoff", ["2023-01-01", "2024-07-05", "2031-01-01"])
def test_a_cutoff_outside_the_data_is_refused_before_any_other_is_trained(
    home: Path, result: dict, cutoff: str
) -> None:
    both = ",".join(sorted(["2025-03-01", cutoff]))
    refused = CliRunner().invoke(main, arguments(home, both), env={"BIDREC_HOME": str(home)})
    assert (refused.exit_code, refused.stdout) == (64, "")
    assert f"error: cutoff {cutoff}: " in refused.stderr
    assert len(all_runs(home)) == 2
