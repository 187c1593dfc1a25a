"""Limits as the kernel writes them, in both versions of cgroup."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bidrec.operations import machine

CORES = len(os.sched_getaffinity(0))
MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def cgroup(folder: Path, **files: str) -> Path:
    """A folder like /sys/fs/cgroup with these files."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    return folder


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "6400000 100000"}, 64),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "250000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ({}, None),
    ],
    ids=str,
)
def test_a_share_of_cpu_time_is_whole_cores_rounded_up(tmp_path, files, limit):
    found = cgroup(tmp_path, **files)
    assert machine.cpu_limit(found) == limit
    assert machine.cores(found) == min(CORES, limit or CORES)


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"memory.max": "max"}, MEMORY),
        ({"memory.max": str(1 << 29)}, 1 << 29),
        ({"memory/memory.limit_in_bytes": "9223372036854771712"}, MEMORY),
        ({"memory/memory.limit_in_bytes": str(1 << 29)}, 1 << 29),
        ({}, MEMORY),
    ],
    ids=str,
)
def test_memory_is_the_containers_limit_where_there_is_one(tmp_path, files, limit):
    assert machine.memory(cgroup(tmp_path, **files)) == limit


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def niceness_of_a_thread() -> int:
    with ThreadPoolExecutor(1) as started:
        return started.submit(niceness).result()


def test_a_thread_gives_way_and_those_that_it_starts_and_no_other_does():
    before = niceness()
    with ThreadPoolExecutor(1, initializer=machine.give_way) as giving:
        assert giving.submit(niceness).result() == min(19, before + machine.NICENESS)
        assert giving.submit(niceness_of_a_thread).result() == min(19, before + machine.NICENESS)
    assert niceness() == niceness_of_a_thread() == before
