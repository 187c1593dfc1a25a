"""`bidrec feast`: Feast's commands without a variable to set, with our configuration, lock and exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bidrec.config import Config
from bidrec.features import feast_command
from bidrec.storage.locks import one_job_at_a_time
from jobs.cli import main
from tests.feature_repo.homes import write_home

STORES = Path(__file__).parents[2] / "examples" / "stores"

SESSION = """
import json, sys
from click.testing import CliRunner
from jobs.cli import main
for line in sys.stdin:
    done = CliRunner().invoke(main, ["feast", *json.loads(line)])
    print(json.dumps([done.exit_code, done.stdout, done.stderr]))
"""
"""One command a line, all in one process: importing Feast takes seconds."""
ONLINE = ["get-online-features", "-f", "company_activity:bids_all", "-e", "company_id=apex"]


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    write_home(tmp_path / "home")
    file = tmp_path / "bidrec.toml"
    file.write_text(f'home = "{tmp_path / "home"}"\n', encoding="utf-8")
    return file


def session(cwd: Path, *commands: list[str]) -> list[tuple[int, str, str]]:
    asked = "\n".join(map(json.dumps, commands))
    done = subprocess.run([sys.executable, "-c", SESSION], input=asked, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def test_the_home_of_the_configuration_is_materialized_and_read_without_a_variable(tmp_path, toml):
    applied, materialized, told, read, times, as_json, unknown, wrong = session(
        tmp_path,
        ["apply"],
        ["materialize", "--disable-event-timestamp", "-v", "company_activity"],
        ["--json", "materialize", "--disable-event-timestamp", "-v", "company_activity"],
        ONLINE,
        ["get-online-features", "-f", "company_activity:last_bid_at", "-e", "company_id=apex", "-e", "company_id=none"],
        ["--json", *ONLINE],
        ["get-online-features", "-f", "nothing:bids_all", "-e", "company_id=apex"],
        ["materialize", "--no-such-option"],
    )
    assert applied[0] == 0, applied
    assert materialized[0] == 0, materialized
    assert "company_activity" in materialized[1]
    assert "\x1b" not in materialized[1]  # Feast colours its lines, which in a pod's log are letters
    assert "\x1b" not in json.loads(told[1])["printed"]
    assert read[0] == 0, read
    assert json.loads(read[1])["bids_all"] == [2]
    assert times[0] == 0, times
    assert json.loads(times[1])["last_bid_at"] == ["2024-01-21T00:00:00+00:00", None]
    assert json.loads(json.loads(as_json[1])["printed"]) == json.loads(read[1])
    assert unknown[0] == 66
    assert unknown[1] == ""
    assert "error: no feature view 'nothing'" in unknown[2]
    assert wrong[0] == 2
    assert "feast materialize" in wrong[2]


def test_a_time_that_is_none_is_the_users_mistake_and_named(tmp_path, toml):
    nonsense, ends_first, incremental, no_month = session(
        tmp_path,
        ["materialize", "x", "y"],
        ["materialize", "2024-02-01", "2024-01-01"],
        ["materialize-incremental", "tomorrow"],
        ["materialize-incremental", "2024-13-01"],
    )
    for (code, out, err), words in (
        (nonsense, "feast materialize x y: Unknown string format: x"),
        (ends_first, "is greater than the given end_date"),
        (incremental, "tomorrow"),
        (no_month, "month must be in 1..12"),
    ):
        assert (code, out) == (64, "")
        assert "error: feast materialize" in err
        assert words in err
        assert "ISO 8601" in err


def test_a_command_that_exits_says_why(tmp_path, toml):
    ((code, out, err),) = session(tmp_path, ["feature-views", "enable", "nothing"])
    assert (code, out) == (64, "")
    assert "error: Feast: Feature view nothing does not exist" in err


@pytest.mark.parametrize(
    ("module", "ours"), [("bidrec.asof.files", True), ("feature_repo.home", True), ("feast", False)]
)
def test_an_error_that_our_own_code_met_below_feast_is_none_of_the_users(module, ours):
    raising = {"__name__": module}
    exec("def meet(): raise ValueError('of a value')", raising)
    with pytest.raises(ValueError, match="of a value") as caught:
        raising["meet"]()
    caught.value.__traceback__ = caught.value.__traceback__.tb_next
    assert feast_command._met_by_us(caught.value) == ours


def test_a_variable_that_the_store_needs_and_is_not_set_is_a_configuration_error(tmp_path, toml, monkeypatch):
    store = Path(__file__).parents[2] / "examples" / "stores" / "redis.yaml"
    toml.write_text(f'{toml.read_text()}feature_store = "{store}"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["feast", "apply"])
    assert (done.exit_code, done.stdout) == (64, "")
    assert "needs BIDREC_REDIS" in done.stderr


def test_a_command_that_writes_waits_for_the_other_jobs_of_the_home(tmp_path, toml):
    command = [sys.executable, "-m", "jobs.cli", "feast", "--config", str(toml), "teardown"]
    with one_job_at_a_time(tmp_path / "home", "feast", 0):
        waiting = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ)
        assert waiting.stderr
        said = json.loads(waiting.stderr.readline())
        assert said["event"] == "waiting for another job to finish"
        assert waiting.poll() is None
    _, rest = waiting.communicate(timeout=120)
    assert waiting.returncode == 0, rest


@pytest.mark.parametrize(
    ("store", "password"),
    [("redis", "redis:6379,password=hush-Secret"), ("postgres", "hush-Secret: a #'b")],
)
def test_the_configuration_that_feast_prints_has_no_password_in_it(home, monkeypatch, store, password):
    for name in ("PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGSSLMODE"):
        monkeypatch.setenv(name, "5432" if name == "PGPORT" else "prefer")
    monkeypatch.setenv("BIDREC_REDIS", password)
    monkeypatch.setenv("PGPASSWORD", password.replace("'", "''"))
    config = Config(home=str(home), feature_store=str(STORES / f"{store}.yaml"))
    printed, code = feast_command.run(config, ["configuration"])
    assert code == 0
    assert "***" in printed
    assert "hush" not in printed
    assert "'b" not in printed
    assert "entity_key_serialization_version" in printed
