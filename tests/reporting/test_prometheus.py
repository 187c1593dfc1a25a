"""The textfile, read by Prometheus's own parser."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from click.testing import Result as Outcome
from prometheus_client.parser import text_string_to_metric_families

from bidrec.config import Config
from bidrec.errors import GateRefused
from bidrec.reporting import prometheus
from bidrec.reporting.prometheus import Gauge, of_lake, of_publication, of_rows, of_run
from jobs.options import command
from jobs.output import Result
from tests.disks import small

FROZEN = {"final": {"recall@10": 0.25, "recall@100": 0.5, "warm_recall@100": 0.6, "mrr": 0.1}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BIDREC_METRICS_DIR", str(tmp_path / "textfile"))
    return tmp_path / "textfile"


def samples(file: Path) -> dict[tuple, float]:
    """(name, label, label, ...) -> value, as a server would scrape them."""
    families = text_string_to_metric_families(file.read_text(encoding="utf-8"))
    found = [sample for family in families for sample in family.samples]
    return {(sample.name, *sorted(sample.labels.items())): sample.value for sample in found}


def invoke(body) -> Outcome:
    @command
    def write_back(config: Config) -> Result:
        return body()

    return CliRunner().invoke(write_back, [])


def call(body) -> int:
    return invoke(body).exit_code


def test_the_end_of_a_job_and_what_it_found_out_are_in_one_file(folder):
    gauges = [*of_run({"run": "r1", "metrics": {"frozen": FROZEN}}), *of_rows("rows", {"notice": 7})]
    assert call(lambda: Result(gauges=gauges)) == 0
    (file,) = folder.iterdir()
    assert file.name == "bidrec_write_back.prom"
    job = ("job", "write-back")
    found = samples(file)
    assert found[("bidrec_job_exit_code", job)] == 0
    assert found[("bidrec_job_duration_seconds", job)] >= 0
    assert found[("bidrec_job_finished_timestamp_seconds", job)] > 1.7e9
    assert found[("bidrec_job_peak_memory_bytes", job)] > 1e6
    assert found[("bidrec_run_info", job, ("run", "r1"))] == 1
    assert found[("bidrec_rows", job, ("table", "notice"))] == 7
    recalls = {key: value for key, value in found.items() if key[0] == "bidrec_recall"}
    assert recalls == {
        ("bidrec_recall", job, ("k", k), ("ranker", "final")): value for k, value in [("10", 0.25), ("100", 0.5)]
    }


def test_how_far_source_lake_and_publication_go_are_times_to_alarm_on(folder):
    lake = {
        "tables": {
            "notice": {"rows": 3, "quarantined": 0, "range": {"published_at": [None, "1970-01-02 00:00:00+00"]}},
            "bid": {"rows": 0, "quarantined": 2, "reasons": {"a": 1, "b": 2}, "range": {"known_at": [None, None]}},
        }
    }
    reading = {"read_at": "1970-01-01T00:01:00.5+00:00", "given": {"notice": 2}}
    published = {"run": "r1", "as_of": "1970-01-01T09:00:00+09:00", "open_notices": 4, "rows": {"notice_embedding": 9}}
    assert call(lambda: Result(gauges=[*of_publication(published), *of_lake(lake, reading)])) == 0
    job = ("job", "write-back")
    found = samples(folder / "bidrec_write_back.prom")
    assert found[("bidrec_published_as_of_timestamp_seconds", job)] == 0
    assert found[("bidrec_open_notices", job)] == 4
    assert found[("bidrec_source_read_timestamp_seconds", job)] == 60.5
    assert found[("bidrec_newest_row_timestamp_seconds", job, ("table", "notice"))] == 86400
    assert ("bidrec_newest_row_timestamp_seconds", job, ("table", "bid")) not in found
    assert found[("bidrec_rows_given", job, ("table", "notice"))] == 2
    assert found[("bidrec_rows_quarantined", job, ("table", "bid"))] == 2  # one of them for two reasons
    rows = {key[2][1]: value for key, value in found.items() if key[0] == "bidrec_rows"}
    assert rows == {"notice_embedding": 9, "notice": 3, "bid": 0}


def test_a_job_that_fails_says_so_in_place_of_its_last_success(folder):
    def refused() -> Result:
        raise GateRefused("below the baseline")

    call(lambda: Result(gauges=of_rows("rows", {"notice": 7})))
    assert call(refused) == 78
    found = samples(folder / "bidrec_write_back.prom")
    assert found[("bidrec_job_exit_code", ("job", "write-back"))] == 78
    assert not [key for key in found if key[0] == "bidrec_rows"]


@pytest.mark.parametrize("value", ['say "가나"', "back\\slash", "two\nlines", "plain"])
def test_any_text_is_a_label(folder, value):
    prometheus.write("j", exit_code=0, seconds=0, peak_bytes=0, gauges=[Gauge("run_info", 1, {"run": value})])
    assert samples(folder / "bidrec_j.prom")[("bidrec_run_info", ("job", "j"), ("run", value))] == 1


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(lambda: Result(gauges=of_rows("rows", {"notice": 7}))) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_ends_on_a_full_disk_does_not_leave_the_success_before_standing(folder):
    def full() -> Result:
        with (folder / "rows").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    folder.mkdir()
    with small(folder):
        assert call(Result) == 0
        assert call(full) == 73
        assert samples(folder / "bidrec_write_back.prom")[("bidrec_job_exit_code", ("job", "write-back"))] == 73


def test_wrong_usage_is_an_end_too(folder):
    @command
    def write_back(config: Config) -> Result:
        return Result()

    assert CliRunner().invoke(write_back, ["--as-off", "2025-01-01"]).exit_code == 2
    assert samples(folder / "bidrec_write_back.prom")[("bidrec_job_exit_code", ("job", "write-back"))] == 2


def test_a_folder_that_cannot_be_written_is_a_warning_and_no_failure(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BIDREC_METRICS_DIR", str(tmp_path / "file"))
    done = invoke(Result)
    assert done.exit_code == 0
    assert "no metrics are written" in done.stderr


def test_markets_that_write_to_one_folder_are_kept_apart(folder, monkeypatch):
    codes = {"한국": 0, "인도": 75, "": 78}
    for market, code in codes.items():
        monkeypatch.setenv("BIDREC_MARKET", market)
        prometheus.write("write-back", exit_code=code, seconds=1.0, peak_bytes=1, gauges=of_rows("rows", {"bid": 7}))
    assert {file.name for file in folder.iterdir()} == {
        f"bidrec_{market}write_back.prom" for market in ("한국_", "인도_", "")
    }
    found = [(key, value) for file in folder.iterdir() for key, value in samples(file).items()]
    assert len({key for key, _ in found}) == len(found)
    assert {(dict(key[1:]).get("market", ""), code) for key, code in found if key[0] == "bidrec_job_exit_code"} == {
        *codes.items()
    }


def test_a_command_below_another_leaves_a_file_whose_name_has_no_space(folder):
    prometheus.write("runs compare", exit_code=0, seconds=1.0, peak_bytes=1, gauges=[])
    (file,) = folder.iterdir()
    assert file.name == "bidrec_runs_compare.prom"
    assert samples(file)[("bidrec_job_exit_code", ("job", "runs compare"))] == 0
