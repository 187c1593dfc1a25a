import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bidrec.config import files
from jobs.cli import main
from tests.sources.koneps_tables import raw_bid, raw_company, raw_notice
from tests.sources.test_koneps import write_dump

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["ingest", "--config", str(EXAMPLES / "koneps.toml"), *arguments])


@pytest.fixture
def dump(tmp_path, monkeypatch):
    """A folder of KONEPS dumps, with one bad bid among 101, that the example's configuration points at."""
    bids = [raw_bid(by=by) for by in range(1, 101)] + [raw_bid(9)]
    write_dump(tmp_path / "dump", [raw_notice(), raw_notice(2, bidntcenm="")], [raw_company()], bids)
    monkeypatch.setenv("BIDREC_KONEPS_DIR", str(tmp_path / "dump"))
    monkeypatch.setenv("BIDREC_HOME", str(tmp_path / "home"))
    return tmp_path / "dump"


def test_ingest_prints_the_rows_it_kept_and_the_reasons_of_the_others(dump):
    result = run()
    assert result.exit_code == 0
    assert "100 rows, 2024-01-10 to 2024-01-10" in result.stdout
    assert "1 quarantined: no notice has this notice_id" in result.stdout
    assert "note: title is empty in 1 of 2 rows" in result.stdout


def test_ingest_prints_the_manifest_as_one_json_line(dump):
    result = run("--json")
    manifest = json.loads(result.stdout)
    assert manifest["tables"]["bid"]["rows"] == 100
    assert manifest["tables"]["bid"]["reasons"] == {"no notice has this notice_id": 1}


def test_by_force_the_lake_is_begun_anew_and_otherwise_what_the_source_lacks_stays(dump):
    assert run().exit_code == 0
    write_dump(dump, [raw_notice()], [raw_company()], [raw_bid(by=by) for by in range(1, 51)])
    assert json.loads(run("--json").stdout)["tables"]["bid"]["rows"] == 100
    assert json.loads(run("--force", "--json").stdout)["tables"]["bid"]["rows"] == 50


def test_the_rows_kept_and_refused_are_metrics_of_the_job(dump, monkeypatch):
    monkeypatch.setenv("BIDREC_METRICS_DIR", str(dump.parent))
    assert run().exit_code == 0
    lines = (dump.parent / "bidrec_ingest.prom").read_text(encoding="utf-8").splitlines()
    assert 'bidrec_rows{job="ingest",table="bid"} 100' in lines
    assert 'bidrec_rows_quarantined{job="ingest",table="bid"} 1' in lines


def test_a_source_that_lost_half_of_its_rows_is_seen_in_the_metrics_while_the_lake_keeps_all(dump, monkeypatch):
    monkeypatch.setenv("BIDREC_METRICS_DIR", str(dump.parent))
    assert run().exit_code == 0
    write_dump(dump, [raw_notice()], [raw_company()], [raw_bid(by=by) for by in range(1, 51)])
    for _ in range(2):  # read, and then seen to be as it was
        assert run().exit_code == 0
        lines = (dump.parent / "bidrec_ingest.prom").read_text(encoding="utf-8").splitlines()
        assert 'bidrec_rows{job="ingest",table="bid"} 100' in lines
        assert 'bidrec_rows_given{job="ingest",table="bid"} 50' in lines


def test_a_broken_contract_exits_with_65_and_an_empty_stdout(dump):
    (dump / "bid.csv").write_text("bidntceno\n1\n")
    result = run()
    assert result.exit_code == 65
    assert result.stdout == ""
    assert "the table bid has no column bidntceord" in result.stderr


def test_a_missing_file_exits_with_66(dump):
    (dump / "company.csv").unlink()
    assert run().exit_code == 66


def test_a_server_that_does_not_answer_exits_with_69_and_keeps_its_password(dump, monkeypatch):
    monkeypatch.setenv("BIDREC_KONEPS_DIR", "")
    monkeypatch.setenv("BIDREC_SOURCE_URL", "postgresql://reader:t0p-Secret@127.0.0.1:1/koneps")
    result = run("-v")
    assert result.exit_code == 69
    assert "127.0.0.1:1/koneps" in result.stderr
    assert "t0p-Secret" not in result.output


@pytest.mark.parametrize("example", ["koneps.toml", "gepnic.toml"])
def test_the_examples_are_valid_configurations(example):
    assert files.load(EXAMPLES / example).source.name == example.removesuffix(".toml")
