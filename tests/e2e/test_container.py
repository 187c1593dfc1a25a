"""The image, built and run as a cluster would: no network, read-only root, any user id, one writable volume."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASE = "python:3.11-slim-trixie"
IMAGE = "bidrec:test"
CONFINED = ["--network", "none", "--read-only", "--tmpfs", "/tmp", "--user", "12345:0"]

pytestmark = pytest.mark.container


def docker(*arguments: str, timeout: int = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=timeout)


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


def wheels() -> list[str]:
    """pip's folder of local wheels on this machine, as the build's context of that name."""
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.find-links"], capture_output=True, text=True
    )
    folder = os.environ.get("PIP_FIND_LINKS") or asked.stdout.strip()
    return ["--build-context", f"wheels={folder}"] if folder and Path(folder).is_dir() else []


@pytest.fixture(scope="module")
def image() -> str:
    reason = missing()
    if reason:
        pytest.skip(reason)
    index = [f"--build-arg={name}" for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL") if name in os.environ]
    built = docker("build", "-t", IMAGE, *wheels(), *index, str(ROOT), timeout=1800)
    assert built.returncode == 0, built.stderr[-3000:]
    return IMAGE


@pytest.fixture
def volume(image: str) -> Iterator[str]:
    name = docker("volume", "create").stdout.strip()
    yield name
    docker("volume", "rm", "-f", name)


def test_help_is_what_the_image_does_by_default(image):
    done = docker("run", "--rm", *CONFINED, image)
    assert done.returncode == 0
    assert "Commands:" in done.stdout


def test_the_image_names_a_numeric_user_and_holds_no_installer_and_no_compiler(image):
    config = json.loads(docker("image", "inspect", image).stdout)[0]["Config"]
    assert config["User"] == "10001:0"
    assert list(config["Volumes"]) == ["/data"]
    found = docker(
        "run", "--rm", "--entrypoint", "sh", image, "-c", "command -v gcc cc; ls -d /root/.cache /opt/installer"
    )
    assert found.stdout == ""


def test_the_stack_is_whole_in_the_image(image, volume):
    done = docker("run", "--rm", *CONFINED, "-v", f"{volume}:/data", image, "doctor", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"]


def test_training_without_a_source_is_66_and_one_line(image):
    done = docker("run", "--rm", *CONFINED, image, "train")
    assert done.returncode == 66
    assert done.stdout == ""
    assert [line for line in done.stderr.splitlines() if line.startswith("error:")] == [
        "error: no source is configured"
    ]


def test_the_demo_runs_confined_and_leaves_a_published_model_in_the_volume(image, volume):
    done = docker("run", "--rm", *CONFINED, "-v", f"{volume}:/data", image, "demo", "--json", timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["metrics"]
    listed = docker("run", "--rm", "-v", f"{volume}:/data", "--entrypoint", "ls", image, result["home"])
    assert {"lake", "features", "runs", "published"} <= set(listed.stdout.split())


def test_a_stopped_container_ends_with_75(image, volume):
    """As the container's first process, which without a handler of its own does not hear SIGTERM."""
    name = docker("run", "-d", *CONFINED, "-v", f"{volume}:/data", image, "demo").stdout.strip()
    try:
        deadline = time.monotonic() + 60
        while not docker("logs", name).stderr:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        docker("stop", "-t", "30", name)
        assert docker("inspect", "-f", "{{.State.ExitCode}}", name).stdout.strip() == "75"
    finally:
        docker("rm", "-f", name)
