"""A home whose boxes another bidrec made: each is built anew, or refused in one line that says what to do.

docs/operations.md says so of each box; what is published stays in every case until the new is there.
"""

import json
import os
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

from bidrec import flow
from bidrec.config import Config
from bidrec.errors import ContractError
from bidrec.publishing.arrived import Arrived
from bidrec.publishing.version import published_folder
from bidrec.runs.found import all_runs, find
from bidrec.storage.sealed import read_json, write_json, write_manifest
from jobs.cli import main
from tests.runs.made import of_another_bidrec


def job(config: Config, *words: str) -> Result:
    toml = config.home_path.parent / "bidrec.toml"
    toml.write_text(
        f"home = '{config.home}'\n[source]\nname = 'koneps'\npath = '{config.source.path}'\n[publish]\nmargin = 1.0\n"
    )
    return CliRunner().invoke(main, [*words, "--config", str(toml)])


def refused(done: Result) -> str:
    """The error and the hint of a job that has ended with 65."""
    assert done.exit_code == 65, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    return " ".join(line for line in done.stderr.splitlines() if line.startswith(("error:", "hint:")))


@pytest.fixture
def upgraded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code that reads a run is another than it was."""
    of_another_bidrec(monkeypatch)


@pytest.mark.usefixtures("upgraded")
@pytest.mark.parametrize(
    "words",
    [
        ("write-back",),
        ("evaluate",),
        ("report",),
        ("features", "--importance", "--repeats", "1"),
        ("export-towers", "--to", "towers"),
    ],
    ids=" ".join,
)
def test_a_run_of_other_code_is_read_by_no_command_and_what_is_published_stays(
    copy: Config, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = os.readlink(published_folder(copy.home_path))
    metrics = find(copy.home_path).metrics()
    assert "another bidrec" in refused(job(copy, *words))
    assert "no run was made by this bidrec's code" in job(copy, "doctor").stdout
    assert os.readlink(published_folder(copy.home_path)) == before
    assert find(copy.home_path).metrics() == metrics
    assert job(copy, "recommend", "--company", _company(copy.home_path)).exit_code == 0


@pytest.mark.usefixtures("upgraded")
def test_a_new_notice_is_not_read_with_other_code_than_the_published_run_has_learned_by(copy: Config) -> None:
    with pytest.raises(ContractError, match="made by another bidrec"):
        Arrived.of(copy.home_path, find(copy.home_path).id)


def test_after_an_upgrade_the_next_training_makes_a_run_of_its_own_which_is_then_published(
    copy: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same data and settings, and without --force."""
    (old,) = all_runs(copy.home_path)
    of_another_bidrec(monkeypatch)
    copy = replace(copy, publish=replace(copy.publish, margin=1.0))
    new = flow.train(copy)
    assert new != old
    assert flow.publish(copy)["run"] == new.id
    listed = json.loads(job(copy, "runs", "--json").stdout.splitlines()[-1])["runs"]
    assert [run["of_this_code"] for run in listed] == [False, True]


def test_features_of_other_rules_are_made_anew_with_a_word_in_the_log(copy: Config) -> None:
    manifest = read_json(copy.home_path / "features" / "manifest.json")
    write_json(copy.home_path / "features" / "manifest.json", manifest | {"recipe": "older rules"})
    done = job(copy, "write-back")
    assert done.exit_code == 0, done.stderr[-2000:]
    assert "the rules of the features are others" in done.stderr
    assert read_json(copy.home_path / "features" / "manifest.json")["recipe"] == manifest["recipe"]


def test_a_published_version_without_a_column_of_today_is_refused_to_readers_and_replaced_by_the_next(
    copy: Config,
) -> None:
    without(published_folder(copy.home_path), "notices.parquet", "currency")
    for words in (
        ("recommend", "--company", _company(copy.home_path)),
        ("recommend", "--all", "--direction", "notice", "--format", "csv", "--to", str(copy.home_path / "all.csv")),
    ):
        said = refused(job(copy, *words))
        assert "was published by another bidrec: it has no notices.currency" in said
        assert "bidrec write-back" in said
    assert job(copy, "write-back").exit_code == 0
    assert job(copy, "recommend", "--company", _company(copy.home_path)).exit_code == 0


def test_features_without_a_column_of_today_are_named_to_those_who_only_read_them(copy: Config) -> None:
    without(copy.home_path / "features", "notice/000001.parquet", "place_name")
    assert "features is damaged, or another bidrec made it" in refused(job(copy, "report"))


def without(box: Path, file: str, column: str) -> None:
    """Write the file as a bidrec does that has no such column, with a manifest to suit."""
    there = box.resolve() / file
    duckdb.execute(f"COPY (SELECT * EXCLUDE ({column}) FROM read_parquet('{there}')) TO '{there}.new' (FORMAT parquet)")
    os.replace(f"{there}.new", there)
    facts = read_json(box / "manifest.json")
    write_manifest(box.resolve(), **{name: value for name, value in facts.items() if name not in ("files", "format")})


def _company(home: Path) -> str:
    listed = published_folder(home) / "company_recommendations.parquet"
    (row,) = duckdb.execute("SELECT company_id FROM read_parquet(?) ORDER BY 1 LIMIT 1", [str(listed)]).fetchall()
    return row[0]
