"""The demo's market: the one that was asked for, made once, and never in place of somebody's own files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bidrec.config import Config, Source, files
from bidrec.errors import CannotWrite, ConfigurationError
from bidrec.storage.sealed import read_manifest, write_json
from jobs.cli import main
from jobs.demo import _simulate, _where
from tests.publishing.versions import publish


def test_the_market_that_was_asked_for_is_made_and_the_same_one_is_not_made_again(tmp_path: Path) -> None:
    """With another market the lake of the one before goes: it is no later state of that."""
    source, lake = tmp_path / "source", tmp_path / "lake"
    config = Config(home=str(tmp_path), source=Source(path=str(source)))
    made = []
    for bids in (2_500, 2_500, 1_500):
        _simulate(config, notices=400, companies=100, bids=bids, seed=7)
        made.append((source.stat().st_ino, read_manifest(source)["rows"]["bid"], lake.exists()))
        write_json(lake / "manifest.json", {})
    first, again, other = made
    assert again == (*first[:2], True)
    assert other[1] < first[1]
    assert not other[2]


def test_files_in_a_folder_that_no_job_has_been_in_are_not_taken_for_the_demos(tmp_path: Path) -> None:
    theirs = tmp_path / "lake" / "thoughts.txt"
    theirs.parent.mkdir()
    theirs.touch()
    config = Config(home=str(tmp_path), source=Source(path=str(tmp_path / "source")))
    with pytest.raises(ConfigurationError, match="its lake would be lost"):
        _simulate(config, notices=400, companies=100, bids=2_500, seed=7)
    assert theirs.is_file()


def test_a_lake_that_cannot_be_taken_away_is_named_and_no_market_is_made_beside_it(tmp_path: Path) -> None:
    (tmp_path / "lake").touch()
    config = Config(home=str(tmp_path), source=Source(path=str(tmp_path / "source")))
    with pytest.raises(CannotWrite, match=f"cannot write {tmp_path}/lake: Not a directory"):
        _simulate(config, notices=400, companies=100, bids=2_500, seed=7)
    assert not (tmp_path / "source").exists()


def test_numbers_that_make_no_market_take_nothing_away(tmp_path: Path) -> None:
    write_json(tmp_path / "lake" / "manifest.json", {})
    config = Config(home=str(tmp_path), source=Source(path=str(tmp_path / "source")))
    with pytest.raises(ConfigurationError, match="more than a tenth of all pairs"):
        _simulate(config, notices=400, companies=100, bids=10**9, seed=7)
    assert (tmp_path / "lake" / "manifest.json").is_file()


def test_the_lines_to_be_copied_lead_to_the_demo_also_where_a_configuration_names_another_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    (tmp_path / "bidrec.toml").write_text('home = "other"\n', encoding="utf-8")
    home = tmp_path / "other" / "demo"
    publish(home, ["apex"], ["road"])
    said = _where(home, home / "report.html", "road", own_home=True).plain
    (line,) = (line for line in said.splitlines() if line.startswith("Companies for a notice: "))
    command = ["bash", "-c", line.removeprefix("Companies for a notice: ")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "BIDREC_HOME": ""})
    assert done.returncode == 0, done.stderr
    assert "apex" in done.stdout


def test_the_hint_that_the_demos_home_has_no_source_leads_to_the_demos_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "demo"
    config = Config(home=str(home), source=Source(name="koneps", path=str(home / "source")))
    _simulate(config, notices=400, companies=100, bids=2_500, seed=7)
    for name in ("BIDREC_CONFIG", "BIDREC_SOURCE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BIDREC_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(main, ["write-back"])
    assert refused.exit_code == 66
    (hint,) = (line for line in refused.stderr.splitlines() if line.startswith("hint: "))
    line = hint.partition("bidrec ")[2]
    assert CliRunner().invoke(main, line.split()).exit_code == 0
    named = files.load(tmp_path / "bidrec.toml").source
    assert (named.name, named.path) == (config.source.name, config.source.path)
