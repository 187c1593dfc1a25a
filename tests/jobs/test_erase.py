import json

import pytest
from click.testing import CliRunner

from bidrec.config import Config
from bidrec.lake.ingest import ingest
from jobs.cli import main
from tests.tables import bid, company, lake, notice, write_source


@pytest.fixture
def config(home):
    ids = [f"c{number}" for number in range(4)]
    tables = {
        "notice": [notice(number) for number in range(3)],
        "company": [company(number) for number in range(4)],
        "bid": [bid(of, by) for of in range(3) for by in range(len(ids))],
    }
    config = Config(home=str(home), source=write_source(home.parent / "source", **tables))
    ingest(config)
    return config


def run(*words, **given):
    return CliRunner().invoke(main, ["erase", *words], **given)


def test_ids_come_from_options_from_a_file_and_from_stdin(config, home, tmp_path):
    (tmp_path / "ids.txt").write_text("c1\n\n c2 \n", encoding="utf-8")
    done = run("--company", "c0", "--companies", str(tmp_path / "ids.txt"), "--notice", "n0", "--json")
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "schema_version": 1,
        "command": "erase",
        "rows": {"notice": 1, "company": 3, "bid": 10},
        "versions": [],
        "left": {"runs": [], "online": [], "files": []},
    }
    done = run("--companies", "-", input="c3\n")
    assert done.stdout == (
        "erased: 0 of notice, 1 of company, 2 of bid; 0 published versions that had any of them\n"
        "nothing of them is left in the home\n"
    )
    assert lake(home, "lake_company") == []


def test_an_id_that_is_nowhere_in_the_home_is_refused_before_anything_is_erased(config, home):
    done = run("--company", "c1", "--company", "C1", "--notice", "c1")
    assert done.exit_code == 66
    assert done.stderr.startswith(f"error: nowhere in {home}: company 'C1', notice 'c1'\nhint: nothing was erased; ")
    assert len(lake(home, "lake_company")) == 4
    assert run("--company", "c1").exit_code == 0
    assert run("--company", "c1").exit_code == 0  # nowhere any more, but it was


def test_a_file_in_the_home_that_has_the_id_is_named(config, home):
    (home / "mine").mkdir()
    (home / "mine" / "list.parquet").write_bytes((home / "lake" / "company" / "000001.parquet").read_bytes())
    assert f"left in files for you to delete:\n  {home}/mine/list.parquet\n" in run("--company", "c1").stdout


def test_an_id_that_was_erased_by_mistake_is_taken_in_again(config, home):
    run("--company", "c1")
    done = run("--company", "c1", "--take-in-again", "--json")
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "schema_version": 1,
        "command": "erase",
        "taken_in_again": True,
    }
    ingest(config)
    assert lake(home, "lake_bid", "count(*)", "WHERE company_id = 'c1'") == [(3,)]


def test_somebody_has_to_be_named(config):
    done = run()
    assert done.exit_code == 2
    assert "name a company or a notice" in done.stderr


def test_without_a_lake_there_is_nobody_to_erase(home):
    done = run("--company", "c1")
    assert (done.exit_code, done.stderr.splitlines()[:2]) == (
        66,
        [f"error: no lake in {home}", "hint: run: bidrec ingest"],
    )


def test_what_killed_jobs_have_left_half_written_stands_in_nobodys_way(config, home):
    for name in (".ingest.abcdefgh.partial", ".erase.abcdefgh.partial"):
        (home / name).touch()
        (home / f"{name}.d").mkdir()
        (home / f"{name}.d" / "000002.parquet").write_bytes(b"PAR1")
    assert run("--company", "c1").exit_code == 0
    assert not [*home.glob(".*.partial*")]
