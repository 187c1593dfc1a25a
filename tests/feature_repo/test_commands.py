"""Feast's own command line on this repository, from another working directory and in any order."""

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest

from bidrec.errors import ConfigurationError
from bidrec.features.feature_store import repository
from bidrec.features.registry import apply, open_store
from tests.feature_repo.homes import write_home
from tests.forked import sessions

FEAST = Path(sys.executable).with_name("feast")


def environment(home):
    """With that home, or without any."""
    others = {name: value for name, value in os.environ.items() if name != "BIDREC_HOME"}
    return others if home is None else others | {"BIDREC_HOME": str(home)}


def start(cwd, home, *command):
    return subprocess.Popen(
        command, cwd=cwd, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def feast(cwd, home, *arguments):
    process = start(cwd, home, FEAST, "-c", repository(), *arguments)
    stdout, stderr = process.communicate()
    return process.returncode, stdout, stderr


@pytest.fixture(scope="module")
def feasts():
    with sessions("feast.cli.cli:cli") as session:
        yield session


def session(feasts, cwd, home, commands):
    """(exit code, stdout, stderr, repr of what was raised) of each command, one after the other."""
    return feasts(cwd, environment(home), [["-c", str(repository()), *command] for command in commands])


def online(feature, company="apex"):
    return ["get-online-features", "-f", feature, "-e", f"company_id={company}"]


def historical(feature):
    asked = [{"company_id": "apex", "event_timestamp": "2024-01-15T00:00:00"}]
    return ["get-historical-features", "-f", feature, "-d", json.dumps(asked)]


BIDS, EMBEDDING = "company_activity:bids_all", "company_embedding:embedding"
STRETCH = ["-s", "2024-01-01 00:00:00", "-e", "2024-02-01 00:00:00"]
FIRST, LATER = "2024-01-15T00:00:00", "2024-06-01T00:00:00+09:00"
TIMES = ["2000-01-01T00:00:00", LATER]
STEPS = [
    # (command, exit code, what the answer says)
    (["feature-views", "list"], 0, "NAME"),
    (["materialize-incremental", FIRST], 0, "0\x1b[0m feature views"),
    (["plan"], 0, "Created feature view"),
    (["apply"], 0, "Created feature service"),
    (["plan"], 0, "No changes to registry\nNo changes to infrastructure"),
    (online(BIDS), 0, [None]),
    (["materialize-incremental", FIRST], 0, "company_activity"),  # long ago: not only the last year's rows
    (online(BIDS), 0, [1]),
    (online(EMBEDDING), 0, [None]),  # nothing is published yet
    (["materialize-incremental", LATER], 0, "company_activity"),
    (online(BIDS), 0, [2]),
    (online(BIDS, "nobody"), 0, [None]),
    (["feature-views", "list"], 0, "AVAILABLE_ONLINE"),
    (historical(BIDS), 0, '"bids_all":1'),
    (historical(EMBEDDING), 66, "Error: view company_embedding: cannot read"),
    (historical("nothing:bids"), 66, "Error: no feature view 'nothing' (hint: there are: company_activity, "),
    (["get-historical-features", "-f", BIDS, *STRETCH], 66, "Error: no entity rows (hint: "),
    (["teardown"], 0, ""),
    (online(BIDS), 66, "Error: no feature view 'company_activity' (hint: nothing is applied yet: feast apply)"),
    (["apply"], 0, "Created sqlite table"),
    (["materialize", *TIMES], 0, "company_activity"),
    (online(BIDS), 0, [2]),
]
ACTIVITY = ["-v", "company_activity"]
BEFORE_ANY_RUN = [
    (historical(BIDS), 66, "Error: no feature view 'company_activity' (hint: nothing is applied yet: feast apply)"),
    (online(BIDS), 66, "Error: no feature view 'company_activity' (hint: nothing is applied yet: feast apply)"),
    (["materialize", *TIMES], 0, "0\x1b[0m feature views"),
    (["plan"], 0, "Created feature view"),
    (["apply"], 0, "Created feature service"),
    (["apply"], 0, "No changes to registry\nNo changes to infrastructure"),
    (historical(BIDS), 66, "Error: view company_activity: cannot read"),
    (online(BIDS), 0, [None]),
    (["materialize", *TIMES, *ACTIVITY], 66, "Error: company_activity_source: cannot read"),
    (["materialize-incremental", LATER, *ACTIVITY], 66, "Error: company_activity_source: cannot read"),
    (["feature-views", "list"], 0, "company_activity"),
]


@pytest.mark.parametrize(("write", "steps"), [(write_home, STEPS), (Path, BEFORE_ANY_RUN)], ids=["run", "no run yet"])
def test_feasts_commands_work_or_end_in_a_line_whatever_came_before(feasts, tmp_path, write, steps):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    elsewhere.mkdir()
    write(home)
    outcomes = session(feasts, elsewhere, home, [command for command, _, _ in steps])
    for (command, expected, says), (code, stdout, stderr, raised) in zip(steps, outcomes, strict=True):
        assert code == expected, (command, stdout, stderr, raised)
        if isinstance(says, list):
            answer = json.loads(stdout)
            assert answer[command[2].split(":")[1]] == says
        else:
            assert says in (stdout if code == 0 else stderr + raised), command
        if code > 2:
            assert len(stderr.strip().splitlines()) == 1
    assert list(elsewhere.iterdir()) == []


def updated(config):
    """When the registry last changed each view."""
    return {view.name: view.last_updated_timestamp for view in open_store(config).list_feature_views()}


def test_apply_by_the_executable_and_by_the_job_are_the_same(tmp_path):
    config = write_home(tmp_path / "home")
    code, stdout, stderr = feast(tmp_path, config.home, "apply")
    assert code == 0, stderr
    assert "No project found" not in stdout
    assert "Could not validate" not in stderr  # Feast looks for a file named *.parquet
    before = updated(config)
    apply(config)
    assert updated(config) == before


def test_without_a_home_every_command_ends_with_one_line_and_leaves_nothing(feasts, tmp_path):
    commands = [["apply"], ["plan"], ["feature-views", "list"], ["materialize", *TIMES], online(BIDS), ["ui"]]
    for code, stdout, stderr, _ in session(feasts, tmp_path, None, commands):
        assert (code, stdout) == (64, "")
        assert stderr == "Error: BIDREC_HOME is not set (hint: for example: export BIDREC_HOME=$PWD/.bidrec)\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("home", "said"), [("", "is not set"), ("homes/mine", r"export BIDREC_HOME=\$PWD/homes/mine")])
def test_the_repository_refuses_such_a_home_whatever_the_offline_store(monkeypatch, home, said):
    monkeypatch.setenv("BIDREC_HOME", home)
    file = runpy.run_path(str(repository() / "home.py"))["file"]
    with pytest.raises(SystemExit, match=said):
        file("features/notice/*.parquet")


def test_a_relative_home_is_refused_with_the_line_that_mends_it():
    from bidrec.asof.offline_store import AsofOfflineStoreConfig

    with pytest.raises(ConfigurationError, match=r"absolute paths, not 'homes/mine/spill' .*export BIDREC_HOME=\$PWD"):
        AsofOfflineStoreConfig(temp_directory="homes/mine/spill")


@pytest.mark.skipif(find_spec("grpc") is None, reason="no grpcio: pip install -r requirements/runtime.txt")
def test_the_ui_starts_answers_over_http_and_stops(tmp_path):
    config = write_home(tmp_path / "home")
    apply(config)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ui = start(tmp_path, config.home, FEAST, "-c", repository(), "ui", "-h", "127.0.0.1", "-p", str(port))
    try:
        page = get(f"http://127.0.0.1:{port}/", ui)
        views = json.loads(get(f"http://127.0.0.1:{port}/api/v1/feature_views?project=bidrec", ui))
    finally:
        ui.send_signal(signal.SIGINT)
        ui.communicate(timeout=30)
    assert "<html" in page
    assert "company_activity" in [view["spec"]["name"] for view in views["featureViews"]]
    assert ui.returncode == 0


def get(address, server):
    for _ in range(1200):
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                return answer.read().decode()
        except (urllib.error.URLError, ConnectionError):
            assert server.poll() is None, server.stderr.read()
            time.sleep(0.1)
    raise AssertionError(f"{address} does not answer")
