"""A hundred of the cases that `python -m benchmarks.fuzz` makes, and what it would say of a command that ends badly."""

import json
from pathlib import Path

import pytest

from benchmarks import fuzz_run
from benchmarks.fuzz import draw, fuzz
from benchmarks.fuzz_cases import (
    CONFIGURED,
    READ_BY,
    READERS,
    WORKERS,
    Configuration,
    Place,
    configurations,
    homes,
    sources,
)
from benchmarks.fuzz_run import judge, try_case
from jobs.cli import COMMANDS


@pytest.mark.parametrize("kind", ["source", "configuration"])
def test_spoilt_sources_and_configurations_end_with_a_documented_code_and_one_line(tmp_path: Path, kind: str) -> None:
    found = fuzz(tmp_path, cases=50, from_seed=3, kinds=[kind])
    assert not found["failures"], json.dumps(found["failures"], ensure_ascii=False)
    assert found["cases"] == 50
    assert len(found["by_exit_code"]) > 1


def test_a_case_is_drawn_again_by_its_seed_and_number() -> None:
    for strategy in (sources, configurations, homes(0.1)):
        assert repr(draw(strategy, 1, 5)) == repr(draw(strategy, 1, 5)) != repr(draw(strategy, 1, 6))


@pytest.mark.parametrize(
    ("code", "stdout", "stderr"),
    [
        (70, "", "error: this is a bug"),
        (1, "", "error: no"),
        (-11, "", ""),
        (65, "", ""),
        (65, "", "error: one\nerror: two"),
        (65, "", "Traceback (most recent call last)\nerror: one"),
        (65, "", "error: " + "x" * 2000),
        (0, "", ""),
        (0, "two\nlines", ""),
    ],
)
def test_what_a_command_may_not_end_with_is_a_fault(code: int, stdout: str, stderr: str) -> None:
    assert judge(code, stdout, stderr)
    assert judge(0, '{"runs": []}', "") is None
    assert judge(65, "", "error: bid.csv is damaged\nhint: copy it again") is None


def test_every_command_that_reads_a_source_or_a_home_is_tried() -> None:
    of_homes = {command[0] for command in (*READERS, *WORKERS)}
    assert of_homes == set(READ_BY)
    nothing_read, reads_as_train_does = {"demo", "simulate", "init"}, {"backtest", "tune"}
    served_or_not_ours = {"explore", "feast", "doctor"}
    rest = nothing_read | reads_as_train_does | served_or_not_ours
    assert of_homes | {command[0] for command in CONFIGURED} == COMMANDS.keys() - rest


@pytest.mark.parametrize("process", [False, True])
def test_a_command_without_an_end_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, process: bool) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fuzz_run, "LONGEST", 0.01)
    at = Place(tmp_path / "case", home=tmp_path, settings=tmp_path, notice="n1", company="c1")
    assert try_case(Configuration("wait_seconds", 1, None, ("ingest",)), at, process=process).fault
