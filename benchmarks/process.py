"""What the system says of this process."""

from pathlib import Path


def peak_mib() -> int:
    return status_kib("VmHWM") // 1024


def status_kib(name: str) -> int:
    """VmRSS, or VmHWM: the peak of this program alone. ru_maxrss would begin at the memory of what started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(name))
