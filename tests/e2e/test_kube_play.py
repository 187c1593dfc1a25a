"""A Job of k8s/overlays/demo really runs, under rootless podman: stopped in the middle of the training, and run again.

What is changed of it: the image is the one of this clone, and the market and the model are small. Tests that run as
root hand podman to the user bidrec-test, where the machine has one.
"""

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e import containers
from tests.e2e.containers import SMALL, docker
from tests.k8s import rendered

USER = "bidrec-test"
RUNTIME = ["--runtime", "runc"] if shutil.which("runc") else []
"""Docker's own. Podman prefers crun, which starts nothing where both versions of control groups are mounted."""
CONTAINER = "bidrec-train-now-pod-bidrec"
SETTINGS = SMALL.replace("epochs = 2", "epochs = 12\npatience = 12\nrefit = false")
MARKET = ["simulate", "--out", "/data/source", "--notices", "1200", "--companies", "150", "--bids", "12000"]

pytestmark = [
    pytest.mark.container,
    pytest.mark.skipif(bool(rendered.missing()), reason=rendered.missing() or ""),
    pytest.mark.skipif(
        not shutil.which("podman"), reason="no podman (Debian: apt-get install podman catatonit uidmap)"
    ),
]


@dataclass(frozen=True)
class Ended:
    code: str
    log: str


@dataclass(frozen=True)
class Played:
    stopped: Ended
    again: Ended
    user_on_the_machine: int
    confined: list[str]
    """Read-only root, user, capabilities."""


@cache
def caller() -> dict[str, Any]:
    """Arguments of a process that calls podman: as USER where the tests are root's, else as who runs them."""
    quiet = {"PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}
    who = next((entry for entry in pwd.getpwall() if entry.pw_name == USER), None)
    if os.geteuid() or who is None:
        return {"env": os.environ | quiet}
    own = {"PATH": os.environ["PATH"], "HOME": who.pw_dir, "USER": USER}
    return {"env": own | quiet, "cwd": "/", "user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}


def podman(*arguments: str, manifest: str | None = None) -> subprocess.CompletedProcess[str]:
    command = ["podman", *RUNTIME, *arguments]
    return subprocess.run(command, input=manifest, capture_output=True, text=True, timeout=300, **caller())


@pytest.fixture(scope="module")
def image() -> str:
    """The image's name in podman's store, which is not Docker's."""
    image = containers.image()
    name = f"docker.io/library/{image}"
    ident = docker("image", "inspect", "-f", "{{.Id}}", image).stdout.strip().removeprefix("sha256:")
    if podman("image", "inspect", "-f", "{{.Id}}", name).stdout.strip() != ident:
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saved:
            load = ["podman", "load", "-q"]
            loaded = subprocess.run(load, stdin=saved.stdout, capture_output=True, timeout=600, **caller())
        if loaded.returncode:
            pytest.skip(f"podman cannot take an image here: {loaded.stderr.decode()[-300:]}")
    tried = podman("run", "--rm", "--network", "none", "--entrypoint", "true", name)
    if tried.returncode:
        pytest.skip(f"podman cannot start a container here: {tried.stderr[-300:]}")
    return name


@pytest.fixture(scope="module")
def manifest(image: str) -> Iterator[str]:
    """The Job of bidrec-train with its configuration and its volume; everything is taken away afterwards."""
    (settings,) = rendered.of_kind("demo", "ConfigMap").values()
    (volume,) = rendered.of_kind("demo", "PersistentVolumeClaim").values()
    settings = {**settings, "data": {"bidrec.toml": settings["data"]["bidrec.toml"] + SETTINGS}}
    job = rendered.job("demo", "bidrec-train")
    pod = job["spec"]["template"]["spec"]
    (simulate,) = pod["initContainers"]
    simulate |= {"image": image, "args": MARKET}
    pod["containers"][0]["image"] = image
    manifest = yaml.safe_dump_all([settings, volume, job])
    yield manifest
    podman("kube", "down", "--force", "-", manifest=manifest)
    if "user" in caller():
        podman("system", "migrate")  # ends the process that holds USER's namespace between commands


@pytest.fixture(scope="module")
def played(manifest: str) -> Played:
    """The Job's pod stopped after its first epoch, and the next one after it."""
    podman("kube", "down", "--force", "-", manifest=manifest)  # what a run of the tests left that was killed
    play(manifest)
    wait_for('"event": "epoch"')
    user = Path("/proc", podman("inspect", "-f", "{{.State.Pid}}", CONTAINER).stdout.strip()).stat().st_uid
    podman("kill", "--signal", "TERM", CONTAINER)
    stopped = end()
    play(manifest)
    again = end()
    shown = "{{.HostConfig.ReadonlyRootfs}} {{.Config.User}} {{.EffectiveCaps}}"
    return Played(stopped, again, user, podman("inspect", "-f", shown, CONTAINER).stdout.split())


def play(manifest: str) -> None:
    started = podman("kube", "play", "--replace", "--network", "none", "-", manifest=manifest)
    assert started.returncode == 0, started.stderr[-2000:]


def wait_for(event: str) -> None:
    deadline = time.monotonic() + 300
    while event not in log():
        assert time.monotonic() < deadline, log()[-2000:]
        time.sleep(0.5)


def end() -> Ended:
    code = podman("wait", CONTAINER).stdout.strip()
    return Ended(code, log())


def log() -> str:
    done = podman("logs", CONTAINER)
    return done.stdout + done.stderr


def test_a_job_that_is_stopped_in_the_middle_of_its_training_saves_its_state_and_ends_with_75(played):
    assert played.stopped.code == "75", played.stopped.log[-2000:]
    assert "the state is saved" in played.stopped.log


def test_its_next_pod_goes_on_from_there_to_the_end(played):
    assert played.again.code == "0", played.again.log[-2000:]
    assert '"event": "resumed"' in played.again.log


def test_the_pod_was_confined_as_its_manifest_says(played):
    assert played.confined == ["true", "10001:10001", "[]"]


def test_the_pod_s_users_are_unprivileged_ones_of_the_machine(played):
    if podman("info", "-f", "{{.Host.Security.Rootless}}").stdout.strip() != "true":
        pytest.skip(f"the tests run as root, and there is no user {USER} for podman (useradd -m {USER})")
    inside = int(played.confined[1].partition(":")[0])
    assert played.user_on_the_machine not in (0, inside)  # mapped to a subordinate id of podman's user
