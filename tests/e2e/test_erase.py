"""Somebody asks to be forgotten: what `bidrec erase` takes out of a home at once, and what its words then lead to."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from bidrec.config import Config
from bidrec.publishing.recommend import Published
from bidrec.runs.found import newest
from bidrec.storage.intact import is_whole
from jobs.cli import main
from tests.e2e.markets import write_toml
from tests.tables import lake


@pytest.fixture
def run(copy: Config, monkeypatch: pytest.MonkeyPatch):
    """Call a command in the copied home, everything of which has been brought online."""
    monkeypatch.setenv("BIDREC_CONFIG", str(write_toml(copy)))

    def invoke(*words: str):
        done = CliRunner().invoke(main, list(words), catch_exceptions=False)
        assert done.exit_code == 0, done.stderr
        return done

    invoke("feast", "apply")
    invoke("feast", "materialize", "--disable-event-timestamp")
    return invoke


def shown(config: Config) -> tuple[str, str]:
    """A company that is an example in the run's report, and its name."""
    found = newest(config.home_path)
    assert found
    for key in re.findall(r'"company_id": "(\w+)"', (found.folder / "details.json").read_text(encoding="utf-8")):
        rows = lake(config.home_path, "lake_company", "name", f"WHERE company_id = '{key}'")
        if rows and rows[0][0]:
            return key, rows[0][0]
    raise AssertionError("no example has a name")


def places(home: Path, *said: str) -> set[str]:
    """The files that say any of these, byte for byte or as a value; not those of the source, which gives them still."""
    return {str(file.relative_to(home)) for file in home.rglob("*") if any(word in _text(file) for word in said)}


def _text(file: Path) -> str:
    if not file.is_file() or "source" in file.parts:
        return ""
    text = file.read_bytes().decode("utf-8", errors="replace")
    return text + "".join(_values(file)) if file.suffix == ".parquet" else text


def _values(file: Path) -> Iterator[str]:
    for (row,) in duckdb.sql(f"SELECT t::VARCHAR FROM '{file}' AS t").fetchall():
        yield row


def others(home: Path, key: str) -> list[list[tuple]]:
    tables = ("notice", "company", "bid")
    there = f"WHERE {{}} <> '{key}' ORDER BY ALL"
    return [
        lake(home, f"lake_{table}", "*", there.format("notice_id" if table == "notice" else "company_id"))
        for table in tables
    ]


def test_who_is_erased_is_nowhere_in_the_home_once_that_is_done_which_it_names(copy, run):
    home = copy.home_path
    key, name = shown(copy)
    before, listed = others(home, key), Published(home)
    assert {file.partition("/")[0] for file in places(home, key, name)} == {
        *("lake", "features", "runs", "published", "feast")
    }

    found = json.loads(run("erase", "--company", key, "--json").stdout)
    assert found["rows"]["company"] == 1
    assert found["rows"]["bid"] > 10
    assert found["left"]["runs"] == [newest(home).id]
    assert {"company_profile", "company_activity", "company_embedding"} <= {*found["left"]["online"]}
    assert found["left"]["files"] == []
    assert {file.partition("/")[0] for file in places(home, key, name)} == {"runs", "feast"}
    assert others(home, key) == before  # everybody else's rows, and when they came
    now = Published(home)
    assert is_whole(now.folder)
    assert now.written_at > listed.written_at

    run("ingest")
    run("train")
    run("feast", "teardown")
    run("write-back")
    run("feast", "materialize", "--disable-event-timestamp")
    run("runs", "prune", "--keep", "1")
    assert places(home, key, name) == set()
    again = run("erase", "--company", key)
    assert "nothing of them is left in the home" in again.stdout
    assert others(home, key) == before
