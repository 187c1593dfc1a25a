"""A Job of k8s/overlays/demo really runs, under podman: stopped in the middle of the training, and run again.

What is changed of it: the image is the one of this clone, and the market and the model are small.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e import containers
from tests.e2e.containers import SMALL, docker
from tests.k8s import rendered

CONTAINER = "bidrec-train-now-pod-bidrec"
SETTINGS = SMALL.replace("epochs = 2", "epochs = 12\npatience = 12\nrefit = false")
MARKET = ["simulate", "--out", "/data/source", "--notices", "1200", "--companies", "150", "--bids", "12000"]

pytestmark = [
    pytest.mark.container,
    pytest.mark.skipif(bool(rendered.missing()), reason=rendered.missing() or ""),
    pytest.mark.skipif(not shutil.which("podman"), reason="no podman (Debian: apt-get install podman catatonit)"),
]


def podman(*arguments: str, timeout: int = 300) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}
    return subprocess.run(["podman", *arguments], capture_output=True, text=True, timeout=timeout, env=environment)


@pytest.fixture
def manifest(tmp_path: Path) -> Iterator[Path]:
    """The Job of bidrec-train with its configuration and its volume; everything is taken away afterwards."""
    image = copied(containers.image())
    (settings,) = rendered.of_kind("demo", "ConfigMap").values()
    (volume,) = rendered.of_kind("demo", "PersistentVolumeClaim").values()
    settings = {**settings, "data": {"bidrec.toml": settings["data"]["bidrec.toml"] + SETTINGS}}
    job = rendered.job("demo", "bidrec-train")
    pod = job["spec"]["template"]["spec"]
    (simulate,) = pod["initContainers"]
    simulate |= {"image": image, "args": MARKET}
    pod["containers"][0]["image"] = image
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump_all([settings, volume, job]), encoding="utf-8")
    yield file
    podman("kube", "down", "--force", str(file))


def copied(image: str) -> str:
    """The image's name in podman's store, which is not Docker's."""
    ident = docker("image", "inspect", "-f", "{{.Id}}", image).stdout.strip().removeprefix("sha256:")
    name = f"docker.io/library/{image}"
    if podman("image", "inspect", "-f", "{{.Id}}", name).stdout.strip() != ident:
        loaded = subprocess.run(f"docker save {image} | podman load -q", shell=True, capture_output=True, timeout=600)
        if loaded.returncode:
            pytest.skip(f"podman cannot take an image here: {loaded.stderr.decode()[-200:]}")
    return name


def test_a_job_that_is_stopped_in_the_middle_ends_with_75_and_its_next_pod_goes_on_to_the_end(manifest):
    play = ["kube", "play", "--replace", "--network", "none", str(manifest)]
    started = podman(*play)
    if started.returncode:
        pytest.skip(f"podman cannot start a pod here: {started.stderr[-300:]}")
    wait_for('"event": "epoch"')
    podman("kill", "--signal", "TERM", CONTAINER)
    assert podman("wait", CONTAINER).stdout.strip() == "75"
    assert "the state is saved" in log()

    assert podman(*play).returncode == 0
    assert podman("wait", CONTAINER).stdout.strip() == "0"
    assert '"event": "resumed"' in log()
    confined = podman("inspect", "-f", "{{.HostConfig.ReadonlyRootfs}} {{.Config.User}} {{.EffectiveCaps}}", CONTAINER)
    assert confined.stdout.split() == ["true", "10001:10001", "[]"]


def wait_for(event: str) -> None:
    deadline = time.monotonic() + 300
    while event not in log():
        assert time.monotonic() < deadline, log()[-2000:]
        time.sleep(0.5)


def log() -> str:
    done = podman("logs", CONTAINER)
    return done.stdout + done.stderr
