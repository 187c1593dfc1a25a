"""What the system says of this process, and of those that it started."""

import re
import resource
from pathlib import Path


def peak_mib() -> int:
    return status_kib("VmHWM") // 1024


def status_kib(name: str) -> int:
    """VmRSS, or VmHWM: the peak of this program alone. ru_maxrss would begin at the memory of what started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(name))


def children_cpu_s() -> float:
    """CPU seconds of all processes that this one has started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def told_peak_mb(log: str) -> int | None:
    """What a job's last line says of its memory; None where it came to none."""
    peak = re.search(r'"peak_rss_mb": (\d+)', log)
    return int(peak[1]) if peak else None
