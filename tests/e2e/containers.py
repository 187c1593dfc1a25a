"""Docker for the tests: the engine, the image built from this clone, containers confined as in a cluster."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASE = "python:3.11-slim-trixie"
IMAGE = "bidrec:test"
CONFINED = ["--network", "none", "--read-only", "--tmpfs", "/tmp", "--user", "12345:0", "--memory", "4g"]
SMALL = """
[split]
test_days = 40
validation_days = 30
[model]
members = 1
embedding_dim = 16
table_dim = 32
hidden = [32]
company_hidden = 32
history_length = 16
[training]
batch_size = 128
epochs = 2
[evaluation]
bootstrap = 50
[publish]
top_k = 20
margin = 1.0
"""
"""What learns from a market of 1,200 notices in seconds, and is published whatever it learned."""


def docker(*arguments: str, timeout: int = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=timeout)


@cache
def missing() -> str | None:
    """Why no image can be built here, or None."""
    try:
        if docker("info").returncode:
            return "no Docker engine answers"
        if docker("image", "inspect", BASE).returncode and docker("pull", "-q", BASE, timeout=300).returncode:
            return f"the base image {BASE} is neither here nor can it be pulled"
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        return f"no Docker engine: {error}"
    return None


@cache
def image() -> str:
    """Build the CPU image from this clone; skips the test where that is impossible."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    index = [f"--build-arg={name}" for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "TORCH") if name in os.environ]
    built = docker("build", "-t", IMAGE, *_wheels(), *index, "--build-arg=REVISION=abc123", str(ROOT), timeout=1800)
    assert built.returncode == 0, built.stderr[-3000:]
    return IMAGE


def run(*arguments: str, options: list[str] | None = None, timeout: int = 300) -> subprocess.CompletedProcess[str]:
    """`docker run` of the image, confined."""
    return docker("run", "--rm", *CONFINED, *(options or []), image(), *arguments, timeout=timeout)


def python(script: str, *options: str) -> subprocess.CompletedProcess[str]:
    return docker("run", "--rm", *CONFINED, *options, "--entrypoint", "python", image(), "-c", script)


def _wheels() -> list[str]:
    """pip's folder of local wheels on this machine, as the build's context of that name."""
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.find-links"], capture_output=True, text=True
    )
    folder = os.environ.get("PIP_FIND_LINKS") or asked.stdout.strip()
    return ["--build-context", f"wheels={folder}"] if folder and Path(folder).is_dir() else []
