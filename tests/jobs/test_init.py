"""bidrec init and bidrec check: a file that is written is one that is accepted, and what is wrong is said."""

import csv
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from bidrec.config import Training, files
from bidrec.config.files import meanings, template
from jobs.cli import main

START = datetime(2024, 1, 1, 9)
DAYS = 200


def run(*words: object):
    return CliRunner().invoke(main, [str(word) for word in words])


def write(folder: Path, name: str, rows: list[dict]) -> None:
    folder.mkdir(exist_ok=True)
    with (folder / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def dumps(tmp_path: Path) -> Path:
    """A notice a day with a bid by each of two companies, under bidrec's own names of columns."""
    folder = tmp_path / "dumps"
    days = [START + timedelta(days=day) for day in range(DAYS)]
    write(folder, "notice", [{"notice_id": f"n{i}", "published_at": day, "title": "길"} for i, day in enumerate(days)])
    write(folder, "company", [{"company_id": f"c{i}", "known_at": START, "region": "서울"} for i in range(2)])
    bids = [(i, day + timedelta(days=1), c) for i, day in enumerate(days) for c in range(2)]
    write(
        folder,
        "bid",
        [
            {"notice_id": f"n{i}", "company_id": f"c{c}", "event_at": opened, "known_at": opened}
            for i, opened, c in bids
        ],
    )
    return folder


def test_a_configuration_for_own_tables_is_accepted_and_read_in_its_zone(home, tmp_path, dumps):
    file = tmp_path / "mine.toml"
    done = run("init", "--source", "own", "--path", dumps, "--zone", "Asia/Seoul", "--to", file)
    assert done.exit_code == 0, done.stderr
    checked = run("check", "--config", file, "--json")
    assert checked.exit_code == 0, checked.stderr
    found = json.loads(checked.stdout)
    assert {name: table["rows"] for name, table in found["tables"].items()} == {"notice": 200, "company": 2, "bid": 400}
    assert found["zone"] == "Asia/Seoul"
    assert found["tables"]["notice"]["range"][0] == "2024-01-01 00:00:00+00"
    last = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=DAYS)
    assert found["split"]["cutoff"] == f"{last - timedelta(days=60):%Y-%m-%d}"
    assert sum(window["notices"] for window in found["windows"].values()) == DAYS
    assert not home.exists()


def test_a_name_that_only_machines_have_for_their_zone_is_refused_at_once(tmp_path):
    refused = run("init", "--source", "own", "--zone", "localtime", "--to", tmp_path / "mine.toml")
    assert refused.exit_code == 64, refused.stderr
    assert "localtime" in refused.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("zone", "near"), [("Mars/Phobos", ""), ("Asia/Seuol", "did you mean Asia/Seoul?")])
def test_a_zone_that_is_none_is_refused_at_once_with_one_that_is_near_to_it(tmp_path, zone, near):
    refused = run("init", "--source", "own", "--zone", zone, "--to", tmp_path / "mine.toml")
    assert refused.exit_code == 64
    assert f"error: {zone} is no IANA zone" in refused.stderr
    assert near in refused.stderr
    assert ("did you mean" in refused.stderr) == bool(near)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "option", "value"), [("postgres", "--path", "dumps"), ("koneps", "--zone", "Asia/Seoul")]
)
def test_an_option_that_the_source_does_not_read_is_a_usage_error_and_not_dropped(tmp_path, source, option, value):
    refused = run("init", "--source", source, option, value, "--to", tmp_path / "mine.toml")
    assert refused.exit_code == 2
    assert f"{option} does not go with --source {source}" in refused.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("source", ["koneps", "gepnic", "own", "postgres"])
def test_what_is_written_is_a_configuration_with_every_key_and_its_default(tmp_path, source, monkeypatch):
    monkeypatch.setenv("BIDREC_KONEPS_DIR", "/koneps")
    monkeypatch.setenv("BIDREC_GEPNIC_DIR", "/gepnic")
    file = tmp_path / "bidrec.toml"
    assert run("init", "--source", source, "--to", file).exit_code == 0
    loaded = files.load(file)
    assert loaded.source.name == (str(tmp_path / "my_tables") if source in ("own", "postgres") else source)
    assert loaded.source.path == {"koneps": "/koneps", "gepnic": "/gepnic", "own": "dumps", "postgres": ""}[source]
    # With every comment that is a key made a key, all are still the defaults.
    uncommented = re.sub(r"^# (\w+ = .+)$", r"\1", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    file.write_text(uncommented, encoding="utf-8")
    plain = files.load(None)
    assert replace(files.load(file), source=plain.source) == plain


def test_every_key_says_what_it_means_where_the_code_says_it():
    assert meanings(Training)["epochs"] == "Passes over the training notices (`history`) or pairs (`static`)."
    assert "# Passes over the training notices" in template({"name": "koneps"})


def test_nothing_that_is_there_is_replaced_without_force(tmp_path):
    file = tmp_path / "bidrec.toml"
    file.write_text("# mine")
    refused = run("init", "--source", "own", "--to", file)
    assert refused.exit_code == 73
    assert "--force" in refused.stderr
    assert file.read_text() == "# mine"
    assert not (tmp_path / "my_tables").exists()
    assert run("init", "--source", "own", "--to", file, "--force").exit_code == 0
    assert file.read_text() != "# mine"


def test_check_says_what_a_training_would_end_with(home, tmp_path, dumps):
    file = tmp_path / "mine.toml"
    run("init", "--source", "own", "--path", dumps, "--to", file)
    text = file.read_text(encoding="utf-8")

    def refusal(was: str, becomes: str, code: int, words: str) -> None:
        file.write_text(text.replace(was, becomes), encoding="utf-8")
        done = run("check", "--config", file)
        assert (done.exit_code, done.stdout) == (code, ""), done.stderr
        assert words in done.stderr

    refusal("# train_before = ", "train_before = 2030-01-01", 64, "validation window")
    refusal("[split]", "[splitt]", 64, "did you mean split")
    refusal(str(dumps), str(tmp_path / "nowhere"), 66, "is not a folder")
    (tmp_path / "my_tables" / "bid.sql").write_text("SELECT nothing FROM raw_bid")
    refusal("", "", 64, "nothing")
    write(dumps, "notice", [{"notice_id": "n1", "title": "no time"}])
    refusal("", "", 65, "published_at")
    assert run("check").exit_code == 66


@pytest.mark.parametrize(("typed", "wanted"), [("bidrec rec", "recommend"), ("bidrec runs pr", "prune")])
def test_the_shell_completes_commands(typed, wanted):
    environment = {**os.environ, "_BIDREC_COMPLETE": "bash_complete", "COMP_WORDS": typed}
    environment["COMP_CWORD"] = str(len(typed.split()) - 1)
    script = "from jobs.cli import main; main(prog_name='bidrec')"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert f"plain,{wanted}" in done.stdout.splitlines()


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_folder_in_the_place_of_the_configuration_is_named_and_stays(tmp_path, force):
    (tmp_path / "there").mkdir()
    refused = run("init", "--source", "own", "--to", tmp_path / "there", *force)
    assert refused.exit_code == 73
    assert f"{tmp_path}/there is a folder" in refused.stderr
    assert os.listdir(tmp_path) == ["there"]
