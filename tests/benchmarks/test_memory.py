"""The jobs, each in a control group: `python -m benchmarks.memory` in small."""

from pathlib import Path

import pytest

from benchmarks import cgroup
from benchmarks.memory import measure

JOBS = ("ingest", "train", "write-back", "export")
"""A training builds the features too, a write-back materializes: each start of a process takes seconds."""


@pytest.mark.skipif(cgroup.missing() is not None, reason=str(cgroup.missing()))
def test_each_job_ends_well_in_a_group_of_the_libraries_and_memory_limit(tmp_path: Path) -> None:
    found = measure(tmp_path, bids=3000, memory_limit="64MB", group=900_000_000, jobs=JOBS)
    assert {name: one["exit_code"] for name, one in found.items()} == dict.fromkeys(JOBS, 0)
    assert all(one["peak_mb"] < 900 for one in found.values())


@pytest.mark.skipif(cgroup.missing() is not None, reason=str(cgroup.missing()))
def test_a_job_in_too_small_a_group_is_killed_and_that_is_told(tmp_path: Path) -> None:
    found = measure(tmp_path, bids=3000, memory_limit="64MB", group=30_000_000, jobs=("ingest", "features"))
    assert [(name, one["exit_code"]) for name, one in found.items()] == [("ingest", -9)]
