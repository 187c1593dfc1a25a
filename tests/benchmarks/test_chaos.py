"""Twenty of the kills that `python -m benchmarks.chaos` makes, some of its failing writes, and some full disks."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks import chaos_disk, chaos_jobs, chaos_writes
from benchmarks.chaos import JOBS
from jobs.cli import COMMANDS

ROOT = Path(__file__).parents[2]
HERE = [job for job in JOBS if job != "tune" or find_spec("optuna")]
pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the market is made once."""
    return tmp_path_factory.mktemp("chaos")


def chaos(folder: Path, *arguments: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.chaos", "--folder", str(folder), "--json", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.stdout, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_every_command_that_writes_to_a_home_is_struck() -> None:
    assert tuple(chaos_jobs.JOBS) == JOBS
    struck = {job.arguments[0] for job in chaos_jobs.JOBS.values()} & COMMANDS.keys()
    assert struck == COMMANDS.keys() - {"demo", "simulate", "init", "check", "explore", "doctor"}


def test_twenty_jobs_killed_at_random_moments_and_run_again_leave_what_unbroken_ones_leave(folder: Path) -> None:
    found = chaos(folder, "--kills", "20", "--jobs", ",".join(HERE))
    assert found["differences"] == []
    assert found["kills"] == 20
    assert all(one["kills"] for one in found["jobs"].values())
    assert found["reads"]["published"] > 20


@pytest.mark.skipif(chaos_writes.missing() is not None, reason=str(chaos_writes.missing()))
def test_a_disk_that_is_full_from_some_write_on_ends_jobs_with_73_and_harms_nothing(folder: Path) -> None:
    found = chaos(folder, "--kills", "6", "--fail", "ENOSPC", "--jobs", "ingest,features,write-back")
    assert found["differences"] == []
    assert {code for one in found["jobs"].values() for code in one["exit_codes"]} == {"73"}


@pytest.mark.skipif(chaos_disk.missing() is not None, reason=str(chaos_disk.missing()))
def test_a_home_on_a_disk_with_too_little_room_is_73_with_path_and_need_and_is_completed_with_room(
    folder: Path,
) -> None:
    found = chaos(folder, "--kills", "5", "--full-disk", "--jobs", "ingest,features,apply,materialize,export")
    assert found["differences"] == []
    assert {code for one in found["jobs"].values() for code in one["exit_codes"]} == {"73"}
