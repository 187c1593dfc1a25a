"""Processes held to an amount of memory by the kernel: what exceeds it is killed."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Group:
    folder: Path
    is_v2: bool

    def run(
        self, *arguments: str, longest: float | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `python ARGUMENTS` in it, `longest` seconds at most."""
        return subprocess.run(
            [sys.executable, *arguments],
            env=os.environ | environment,
            preexec_fn=lambda: (self.folder / "cgroup.procs").write_text(str(os.getpid())),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=longest,
        )


def missing() -> str | None:
    """Why memory cannot be limited here, or None."""
    try:
        with limited(1 << 30):
            return None
    except OSError as error:
        return f"no control group of one's own: {error}"


@contextmanager
def limited(size: int) -> Iterator[Group]:
    """A group of processes that may hold `size` bytes, files it has read excluded as far as they can be given up."""
    is_v2 = (ROOT / "cgroup.controllers").exists()
    folder = (ROOT if is_v2 else ROOT / "memory") / f"bidrec-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    try:
        (folder / ("memory.max" if is_v2 else "memory.limit_in_bytes")).write_text(str(size))
        yield Group(folder, is_v2)
    finally:
        folder.rmdir()
