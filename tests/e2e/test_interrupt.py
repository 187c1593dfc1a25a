"""`bidrec train` as the scheduler sees it: told to stop in the middle, and started again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from bidrec.config import Config
from tests.e2e.markets import market

BIDREC = Path(sys.executable).with_name("bidrec")
NEWS = "the source has had news since this run was begun"


def command(home: Path, toml: Path) -> tuple[list[str], dict[str, str]]:
    return [str(BIDREC), "train", "--json", "--config", str(toml)], os.environ | {"BIDREC_HOME": str(home)}


@pytest.mark.parametrize("after", [0.05, 0.15, 0.25, 0.35, 0.45, 0.55])
def test_a_job_told_to_stop_while_it_imports_ends_with_75_or_had_finished_and_says_so(
    config: Config, after: float
) -> None:
    script = "import sys; from jobs.cli import main; print('up', file=sys.stderr, flush=True); main()"
    environment = os.environ | {"BIDREC_HOME": str(config.home_path)}
    job = subprocess.Popen(
        [sys.executable, "-c", script, "report"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert job.stderr
    assert job.stderr.readline() == "up\n"
    time.sleep(after)
    job.send_signal(signal.SIGTERM)
    out, err = job.communicate(timeout=60)
    assert (job.returncode, bool(out)) in [(75, False), (0, True)], err
    assert "Traceback" not in err


def small_training(folder: Path, epochs: int) -> tuple[Path, list[str], dict[str, str]]:
    """A home, and the command and the environment that train in it."""
    home, toml = folder / "home", folder / "bidrec.toml"
    source = market(home).source.path
    toml.write_text(
        f'[source]\nname = "koneps"\npath = "{source}"\n[split]\ntest_days = 40\nvalidation_days = 30\n'
        "[model]\nembedding_dim = 16\nmembers = 1\ntable_dim = 32\nhidden = [32]\nhistory_length = 16\n"
        f"[training]\nepochs = {epochs}\npatience = 8\nrefit = false\n[evaluation]\nrefresh_days = 0\nbootstrap = 20\n",
        encoding="utf-8",
    )
    return home, *command(home, toml)


def stopped_at_an_epoch(arguments: list[str], environment: dict[str, str]) -> str:
    """The log of a training that is told to stop when it has had an epoch."""
    stopped = subprocess.Popen(
        arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    assert stopped.stderr
    seen = []
    for line in stopped.stderr:
        seen.append(line)
        if '"event": "epoch"' in line:
            stopped.send_signal(signal.SIGTERM)
            break
    out, rest = stopped.communicate(timeout=120)
    log = "".join(seen) + rest
    assert stopped.returncode == 75, log[-2000:]
    assert out == ""
    assert "Traceback" not in log
    assert "error: stopped at step" in log
    return log


def test_a_training_told_to_stop_exits_75_and_the_next_run_goes_on_with_it_also_where_the_source_has_had_news(
    tmp_path: Path,
) -> None:
    """Told twice: on a source that lives there always has been news in between."""
    home, arguments, environment = small_training(tmp_path, epochs=8)
    assert '"event": "resumed"' not in stopped_at_an_epoch(arguments, environment)
    (run,) = (home / "runs").iterdir()
    assert any((run / "checkpoints").iterdir())

    again = stopped_at_an_epoch(arguments, environment)
    assert '"event": "resumed"' in again
    assert NEWS not in again
    assert json.loads((home / "lake" / "manifest.json").read_text())["ingest"] == 1
    assert list((home / "runs").iterdir()) == [run]

    add_a_company(home / "source" / "company")
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert '"event": "resumed"' in done.stderr
    assert NEWS in done.stderr
    assert json.loads((home / "lake" / "manifest.json").read_text())["ingest"] == 2
    assert json.loads(done.stdout.splitlines()[-1])["run"] == run.name
    assert len(json.loads((run / "model" / "manifest.json").read_text())["curve"]) == 8
    assert not (run / "checkpoints").exists()


def add_a_company(folder: Path) -> None:
    duckdb.execute(
        f"COPY (SELECT * REPLACE ('0999999999' AS bizno) FROM '{folder}/*.parquet' LIMIT 1) TO '{folder}/9999.parquet'"
    )


def test_a_training_killed_when_its_model_is_whole_is_ended_without_another_step(tmp_path: Path) -> None:
    home, arguments, environment = small_training(tmp_path, epochs=1)
    killed = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (models := list(home.glob("runs/*/model/weights.safetensors"))):
        assert killed.poll() is None
        time.sleep(0.005)
    killed.kill()
    killed.wait()
    (weights,) = models
    run, written = weights.parents[1], weights.stat().st_mtime_ns
    assert not (run / "manifest.json").exists()

    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1])["run"] == run.name
    assert '"event": "epoch"' not in done.stderr
    assert weights.stat().st_mtime_ns == written
    assert not (run / "checkpoints").exists()
