"""What this process may use of the machine: a container's limits, which the machine's own numbers do not show, and
what a thread leaves to others.

Reads   /sys/fs/cgroup, as a container sees it; outside of one there is mostly no limit there
"""

import math
import os
from contextlib import suppress
from pathlib import Path
from threading import get_native_id

CGROUP = Path("/sys/fs/cgroup")
NICENESS = 10
"""How far a thread gives way to others: it gets a tenth of a core that they share."""


def cores(cgroup: Path = CGROUP) -> int:
    """Cores that may be used at once: those of the process, or the container's share of time where that is less."""
    return min(len(os.sched_getaffinity(0)), cpu_limit(cgroup) or os.cpu_count() or 1)


def cpu_limit(cgroup: Path = CGROUP) -> int | None:
    """The container's share of CPU time in whole cores, rounded up; None where it has no limit."""
    quota, period = _quota(cgroup)
    return math.ceil(quota / period) if quota > 0 and period > 0 else None


def memory(cgroup: Path = CGROUP) -> int:
    """Bytes of memory that may be used."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    limits += [_number(cgroup / "memory.max"), _number(cgroup / "memory" / "memory.limit_in_bytes")]
    return min(limit for limit in limits if limit > 0)


def give_way() -> None:
    """Have this thread, and those it starts, give way to all others: beside a step of two threads, which wait for each
    other, one more that writes and sums on two cores would make it three times as long."""
    with suppress(OSError):  # a system whose threads have no priority of their own
        mine = os.getpriority(os.PRIO_PROCESS, get_native_id())
        os.setpriority(os.PRIO_PROCESS, get_native_id(), min(19, mine + NICENESS))


def _quota(cgroup: Path) -> tuple[int, int]:
    """Microseconds of CPU time, and in how many; 0 where there is no limit. cgroup version 2, else 1."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
        return (0 if quota == "max" else int(quota)), int(period)
    except (OSError, ValueError):
        return _number(cgroup / "cpu" / "cpu.cfs_quota_us"), _number(cgroup / "cpu" / "cpu.cfs_period_us")


def _number(file: Path) -> int:
    """The number in the file; 0 where there is none: no such version of cgroup, or `max`."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0
