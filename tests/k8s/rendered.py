"""The overlays of k8s/ as `kubectl apply -k` would send them."""

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

K8S = Path(__file__).parents[2] / "k8s"
OVERLAYS = ("demo", "cpu", "gpu", "distributed")
COMMANDS = (["kubectl", "kustomize"], ["kustomize", "build"])

Object = dict[str, Any]


def missing() -> str | None:
    """Why nothing can be rendered here, or None."""
    if any(shutil.which(command[0]) for command in COMMANDS):
        return None
    return "neither kubectl nor kustomize (Debian: apt-get install kubernetes-client)"


@cache
def text(name: str) -> str:
    command = next(command for command in COMMANDS if shutil.which(command[0]))
    done = subprocess.run([*command, str(K8S / "overlays" / name)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def overlay(name: str) -> list[Object]:
    """Every object of the overlay, the caller's own: a test may change them."""
    return list(yaml.safe_load_all(text(name)))


def of_kind(name: str, kind: str) -> dict[str, Object]:
    """The overlay's objects of one kind, by name."""
    return {found["metadata"]["name"]: found for found in overlay(name) if found["kind"] == kind}


def job(name: str, cron_job: str) -> Object:
    """What `kubectl create job --from=cronjob/...` makes."""
    template = of_kind(name, "CronJob")[cron_job]["spec"]["jobTemplate"]
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": f"{cron_job}-now"}, "spec": template["spec"]}
