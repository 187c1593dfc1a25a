"""`bidrec train` as the scheduler sees it: told to stop in the middle, and started again."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.e2e.markets import market

BIDREC = Path(sys.executable).with_name("bidrec")


def command(home: Path, toml: Path) -> tuple[list[str], dict[str, str]]:
    return [str(BIDREC), "train", "--json", "--config", str(toml)], os.environ | {"BIDREC_HOME": str(home)}


def test_a_training_told_to_stop_exits_75_and_the_next_run_goes_on_with_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    source = Path(market(home).source.path)
    toml = tmp_path / "bidrec.toml"
    toml.write_text(
        f'[source]\nname = "koneps"\npath = "{source}"\n[split]\ntest_days = 40\nvalidation_days = 30\n'
        "[model]\nembedding_dim = 16\nmembers = 1\ntable_dim = 32\nhidden = [32]\nhistory_length = 16\n"
        "[training]\nepochs = 8\npatience = 8\nrefit = false\n[evaluation]\nrefresh_days = 0\nbootstrap = 20\n",
        encoding="utf-8",
    )
    arguments, environment = command(home, toml)
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
    (run,) = (home / "runs").iterdir()
    assert any((run / "checkpoints").iterdir())

    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert '"event": "resumed"' in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["run"] == run.name
    assert len(json.loads((run / "model" / "manifest.json").read_text())["curve"]) == 8
