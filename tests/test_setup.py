"""`make setup` installs once, until what is asked for changes. pip is a script that says it was called."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PIP = """#!/bin/sh
echo "$@" >> pip.log
case $1 in show) exit 1 ;; esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    pip = tmp_path / ".venv" / "bin" / "pip"
    pip.parent.mkdir(parents=True)
    pip.write_text(PIP)
    pip.chmod(0o755)
    return tmp_path


def installed_by_make(clone: Path, *arguments: str) -> list[str]:
    """What pip was told to install."""
    (clone / "pip.log").write_text("")
    command = ["make", "setup", f"PYTHON={sys.executable}", *arguments]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in (clone / "pip.log").read_text().splitlines() if line.startswith("install")]


def newer(file: Path, than: Path) -> None:
    later = than.stat().st_mtime_ns + 10**9
    os.utime(file, ns=(later, later))


def test_a_second_setup_installs_nothing_until_the_requirements_or_the_device_change(clone: Path) -> None:
    first = installed_by_make(clone)
    assert any("requirements/runtime.txt" in line for line in first)
    assert any("requirements/torchrec-cpu.txt" in line for line in first)
    assert installed_by_make(clone) == []

    newer(clone / "requirements" / "dev.txt", than=clone / ".venv" / "installed-cpu")
    assert installed_by_make(clone) == first
    os.utime(clone / "requirements" / "dev.txt", (0, 0))
    assert installed_by_make(clone) == []

    other = installed_by_make(clone, "DEVICE=cuda")
    assert any("requirements/torchrec-cuda.txt" in line for line in other)
    assert installed_by_make(clone, "DEVICE=cuda") == []
    assert installed_by_make(clone) == first


def test_a_setup_that_failed_is_made_again(clone: Path) -> None:
    pip = clone / ".venv" / "bin" / "pip"
    pip.write_text(PIP + "exit 1\n")
    command = ["make", "setup", f"PYTHON={sys.executable}"]
    assert subprocess.run(command, cwd=clone, capture_output=True, check=False).returncode != 0
    pip.write_text(PIP)
    assert installed_by_make(clone) != []
    assert installed_by_make(clone) == []
