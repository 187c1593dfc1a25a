"""docs/container.md's way from a clone to a first night in a cluster, held to the overlays and to what was measured."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.test_docs import BLOCK, DOCS, ROOT
from tests.k8s.rendered import COMMANDS, K8S, job, missing, of_kind
from tests.k8s.rendered import overlay as objects_of

PAGE = (DOCS / "container.md").read_text(encoding="utf-8")
BYTES = {"Mi": 2**20, "Gi": 2**30}
JOBS = {"training": "bidrec-train", "write-back": "bidrec-write-back", "materialize": "bidrec-materialize"}
"""Row of the page's table -> CronJob."""

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "")


def size(quantity: str) -> float:
    return float(quantity[:-2]) * BYTES[quantity[-2:]]


def resources(overlay: str, cron_job: str) -> dict[str, Any]:
    spec = of_kind(overlay, "CronJob")[cron_job]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec["containers"][0]["resources"]


def volume(overlay: str) -> float:
    (claim,) = of_kind(overlay, "PersistentVolumeClaim").values()
    return size(claim["spec"]["resources"]["requests"]["storage"])


def measured(page: str, words: str) -> float:
    """Bytes: the GB that stand before these words."""
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    (found,) = re.findall(rf"([\d.]+) GB {words}", text)
    return float(found) * 1e9


def test_the_secret_is_made_when_its_namespace_is_there():
    for text in (PAGE, (K8S / "overlays" / "cpu" / "kustomization.yaml").read_text(encoding="utf-8")):
        assert 0 < text.index("kubectl apply -k k8s/overlays/cpu") < text.index("create secret")


@pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl (Debian: apt-get install kubernetes-client)")
def test_any_command_is_a_job_made_from_the_write_back_s():
    (patch,) = (found for _, text in BLOCK.findall(PAGE) for found in re.findall(r"-p '(\[.*?\])'", text))
    whole = job("cpu", "bidrec-write-back")
    command = ["kubectl", "patch", "--local", "-f", "-", "-o", "yaml", "--type=json", "-p", patch]
    done = subprocess.run(command, input=yaml.safe_dump(whole), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    whole["spec"]["template"]["spec"]["containers"][0]["args"] = ["doctor"]
    assert yaml.safe_load(done.stdout) == whole


def test_servers_outside_of_the_cluster_are_reached_by_the_patch_that_is_shown(tmp_path):
    (patches,) = (text for language, text in BLOCK.findall(PAGE) if language == "yaml")
    base = os.path.relpath(K8S / "overlays" / "cpu", tmp_path.resolve())
    settings = {"resources": [base], "patches": yaml.safe_load(patches)}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    command = next(command for command in COMMANDS if shutil.which(command[0]))
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (policy,) = (found for found in yaml.safe_load_all(done.stdout) if found["kind"] == "NetworkPolicy")
    database, redis = policy["spec"]["egress"][1:]
    assert database == {"to": [{"ipBlock": {"cidr": "10.0.0.5/32"}}], "ports": [{"protocol": "TCP", "port": 5432}]}
    assert redis["ports"] == [{"protocol": "TCP", "port": 6379}]


def test_a_second_market_has_everything_in_a_namespace_of_its_own(tmp_path):
    page = (DOCS / "markets.md").read_text(encoding="utf-8")
    (shown,) = (text for language, text in BLOCK.findall(page) if language == "yaml")
    k8s = tmp_path / "k8s"
    shutil.copytree(K8S, k8s)
    folder = k8s / Path(shown.splitlines()[0].removeprefix("# k8s/")).parent
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(shown, encoding="utf-8")
    (folder / "bidrec.toml").write_text("[source]\nname = 'gepnic'\n", encoding="utf-8")
    command = next(command for command in COMMANDS if shutil.which(command[0]))
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = list(yaml.safe_load_all(done.stdout))
    (namespace,) = (one["metadata"]["name"] for one in found if one["kind"] == "Namespace")
    assert f"kubectl -n {namespace} create secret generic bidrec" in page
    assert {one["metadata"].get("namespace", namespace) for one in found} == {namespace}
    assert len(found) == len(objects_of("cpu"))
    (settings,) = (one for one in found if one["kind"] == "ConfigMap")
    assert "gepnic" in settings["data"]["bidrec.toml"]
    jobs = [one for one in found if one["kind"] == "CronJob"]
    assert yaml.safe_dump(jobs).count(f"name: {settings['metadata']['name']}") == len(jobs)


@pytest.mark.parametrize("row", JOBS)
def test_the_page_names_the_requests_that_are_made(row):
    (cpus, memory) = re.findall(rf"^\| {row} \| (\d+) CPUs?, (\d+) GiB ", PAGE, re.MULTILINE)[0]
    requests = resources("cpu", JOBS[row])["requests"]
    assert (requests["cpu"], requests["memory"]) == (cpus, f"{memory}Gi")


def test_a_write_back_of_a_large_market_has_room_and_so_has_a_training_that_ranks_like_it():
    """Beside what it was measured to hold there must be room for the files that it maps."""
    for overlay in ("cpu", "gpu", "distributed"):
        for cron_job in ("bidrec-write-back", "bidrec-train"):
            limit = size(resources(overlay, cron_job)["limits"]["memory"])
            assert limit > 1.25 * measured("docs/ranking.md", "of its own memory")


def test_the_volume_holds_the_runs_that_prune_keeps_and_what_lies_beside_them():
    kept = of_kind("cpu", "CronJob")["bidrec-prune"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    number = int(kept[0]["args"][-1])
    (run,) = re.findall(r"a run has some (\d+) GB, and (\d+) are kept", PAGE)
    assert int(run[1]) == number
    assert f"| volume | {volume('cpu') / 2**30:.0f} GiB |" in PAGE
    runs = (number + 1) * int(run[0]) * 1e9
    assert volume("cpu") > 1.2 * runs + 10e9  # the lake, the features, checkpoints, publications, and what is spilled
    assert volume("distributed") == volume("cpu")


def test_the_demo_fits_a_small_machine():
    for cron_job in JOBS.values():
        assert size(resources("demo", cron_job)["limits"]["memory"]) <= 3 * 2**30
        assert float(resources("demo", cron_job)["requests"]["cpu"]) <= 2
