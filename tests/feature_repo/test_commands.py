"""Feast's own command line on this repository, from another working directory."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from bidrec.features.registry import apply, open_store, repository
from tests.feature_repo.homes import write_home

FEAST = Path(sys.executable).with_name("feast")


def feast(cwd, home, *arguments):
    environment = {name: value for name, value in os.environ.items() if name != "BIDREC_HOME"}
    if home is not None:
        environment["BIDREC_HOME"] = str(home)
    return subprocess.run(
        [FEAST, "-c", repository(), *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def updated(config):
    """When the registry last changed each view."""
    return {view.name: view.last_updated_timestamp for view in open_store(config).list_feature_views()}


def test_apply_and_materialize_work_from_any_directory(tmp_path):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    elsewhere.mkdir()
    config = write_home(home)
    first = feast(elsewhere, home, "apply")
    assert first.returncode == 0, first.stderr
    assert "No project found" not in first.stdout
    before = updated(config)
    apply(config)
    assert updated(config) == before
    done = feast(
        elsewhere, home, "materialize", "2000-01-01T00:00:00", "2024-06-01T00:00:00+09:00", "-v", "company_activity"
    )
    assert done.returncode == 0, done.stderr
    answer = open_store(config).get_online_features(["company_activity:bids_all"], [{"company_id": "apex"}])
    assert answer.to_dict()["bids_all"] == [2]
    assert list(elsewhere.iterdir()) == []


def test_without_a_home_feast_ends_with_one_line_and_leaves_nothing(tmp_path):
    refused = feast(tmp_path, None, "apply")
    assert refused.returncode == 1
    assert "BIDREC_HOME is not set" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_relative_home_is_refused_with_the_line_that_mends_it(monkeypatch):
    monkeypatch.setenv("BIDREC_HOME", "homes/mine")
    file = runpy.run_path(str(repository() / "home.py"))["file"]
    with pytest.raises(SystemExit, match=r"export BIDREC_HOME=\$PWD/homes/mine"):
        file("features/notice/*.parquet")
