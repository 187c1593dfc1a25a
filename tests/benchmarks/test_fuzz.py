"""A hundred of the cases that `python -m benchmarks.fuzz` makes, and what it would say of a command that ends badly."""

import json
from pathlib import Path

import pytest

from benchmarks.fuzz import draw, fuzz
from benchmarks.fuzz_cases import configurations, homes, sources
from benchmarks.fuzz_run import judge


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
