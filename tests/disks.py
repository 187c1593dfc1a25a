"""Disks that refuse: a folder with what is in it, as a volume that may only be read, and one that is soon full."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Skips the test where nothing can be mounted: root may write what only permissions forbid."""
    binding = ["mount", "--bind", str(folder), str(folder)]
    if os.getuid() != 0 or subprocess.run(binding, capture_output=True).returncode:
        pytest.skip("needs root and the right to mount, for a disk that is read-only")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def small(folder: Path) -> Iterator[None]:
    """The folder as a file system of 2 MB. Skips the test where nothing can be mounted."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs root and the right to mount, for a disk of 2 MB")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
