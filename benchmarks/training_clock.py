"""When steps began and ended by the clock of the device that computes them, and how busy that was.

A GPU computes behind the program that tells it to: its steps lie between marks in its own queue, and nobody waits for
one before all are done. `busy` is what nvidia-smi calls utilisation, the share of the time with a kernel at work.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

EVERY_MS = 100
_CPU_TIMES = Path("/proc/stat")
_STOLEN = 8
"""The place of the time that other machines on the same processor took, among a line's words (man 5 proc_stat)."""


def stolen() -> int:
    """Ticks, of 10 ms each, that the host of a virtual machine has taken from it so far; 0 where that is not told."""
    try:
        return int(_CPU_TIMES.read_text(encoding="ascii").split(maxsplit=_STOLEN + 1)[_STOLEN])
    except OSError:
        return 0


class Clock:
    """Marks, and the seconds between two of them."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def mark(self) -> Any:
        """Now, or behind all that the GPU was told so far."""
        if self.device.type == "cpu":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    def seconds(self, begin: Any, end: Any) -> float:
        if self.device.type == "cpu":
            return float(end - begin)
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1e3

    def wait(self) -> None:
        """Until the device has done all that it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


@contextmanager
def gpu_busy(device: torch.device) -> Iterator[dict[str, float]]:
    """Filled at its end with the share of the block's time in which the GPU was at work; empty without one, or without
    nvidia-smi."""
    found: dict[str, float] = {}
    asked = shutil.which("nvidia-smi") if device.type == "cuda" else None
    if asked is None:
        yield found
        return
    # By its UUID: nvidia-smi numbers all of the machine's GPUs, torch those of CUDA_VISIBLE_DEVICES.
    which = f"--id=GPU-{torch.cuda.get_device_properties(device).uuid}"
    query = [asked, "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", f"--loop-ms={EVERY_MS}", which]
    with subprocess.Popen(query, stdout=subprocess.PIPE, text=True) as told:
        try:
            yield found
        finally:
            told.terminate()
            lines, _ = told.communicate()
    values = [int(line) for line in lines.split() if line.isdigit()]
    if values:
        found["gpu_busy"] = fmean(values) / 100
