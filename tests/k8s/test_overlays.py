"""Every overlay, held to the API's own schemas and to what a platform team asks of a job."""

import importlib.util
import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from bidrec import errors
from bidrec.config import Publish, Source
from bidrec.config.files import load
from jobs.cli import COMMANDS
from jobs.options import CONFIG_PLACES
from tests.k8s.rendered import OVERLAYS, Object, job, missing, of_kind, overlay

VERSION = "1.31"
"""Kubernetes: since then all fields are stable that are used here (podFailurePolicy is the newest)."""
AGAIN = {errors.DependencyDown, errors.CannotWrite, errors.Interrupted}
"""The same command may end otherwise the next time."""
JOBS = {
    "bidrec-train": ["train"],
    "bidrec-write-back": ["write-back"],
    "bidrec-materialize": ["feast", "materialize", "--disable-event-timestamp"],
    "bidrec-prune": ["runs", "prune", "--keep", "14"],
}
"""CronJob -> what of bidrec it runs."""
SECRETS = {"BIDREC_REDIS", Source().url.strip("${}"), Publish().url.strip("${}")}
"""Variables that hold a password."""

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "")
in_every_overlay = pytest.mark.parametrize("name", OVERLAYS)


@dataclass(frozen=True)
class Where:
    cron_job: Object
    pod: Object

    @property
    def job(self) -> Object:
        return self.cron_job["spec"]["jobTemplate"]["spec"]

    @property
    def containers(self) -> list[Object]:
        return [*self.pod.get("initContainers", []), *self.pod["containers"]]


def jobs_of(name: str) -> Iterator[Where]:
    found = of_kind(name, "CronJob")
    assert sorted(found) == sorted(JOBS)
    for cron_job in found.values():
        yield Where(cron_job, cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"])


@pytest.fixture(scope="module")
def validate():
    """Hold an object to the API's schema, strictly: unknown fields are errors."""
    if not importlib.util.find_spec("kubernetes_validate"):
        pytest.skip("no kubernetes-validate (pip install -r requirements/kubernetes.txt)")
    from kubernetes_validate import validate

    return lambda found: validate(found, VERSION, strict=True)


def test_every_object_is_one_that_kubernetes_knows_down_to_the_last_field(validate):
    distinct = {json.dumps(found, sort_keys=True): found for name in OVERLAYS for found in overlay(name)}
    assert {found["kind"] for found in distinct.values()} >= {"CronJob", "NetworkPolicy", "PodDisruptionBudget"}
    for found in distinct.values():
        validate(found)


def test_a_field_that_kubernetes_does_not_know_would_be_found(validate):
    from kubernetes_validate import ValidationError

    wrong = json.loads(json.dumps(job("demo", "bidrec-train")))
    validate(wrong)
    wrong["spec"]["backOffLimit"] = 3
    with pytest.raises(ValidationError, match="backOffLimit"):
        validate(wrong)


@in_every_overlay
def test_the_namespace_enforces_the_restricted_profile_and_everything_is_in_it(name):
    (namespace,) = of_kind(name, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    others = [found for found in overlay(name) if found["kind"] != "Namespace"]
    assert {found["metadata"]["namespace"] for found in others} == {namespace["metadata"]["name"]}


@in_every_overlay
def test_every_pod_meets_the_restricted_profile_and_may_write_to_its_volumes_only(name):
    for where in jobs_of(name):
        security = where.pod["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & where.pod.keys()
        assert {next(iter(volume.keys() - {"name"})) for volume in where.pod["volumes"]} <= {
            "persistentVolumeClaim",
            "emptyDir",
            "configMap",
        }
        for container in where.containers:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            writable = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
            assert writable == {"/data", "/tmp"}


@in_every_overlay
def test_no_pod_gets_a_token_of_the_cluster(name):
    (account,) = of_kind(name, "ServiceAccount").values()
    assert account["automountServiceAccountToken"] is False
    for where in jobs_of(name):
        assert where.pod["serviceAccountName"] == account["metadata"]["name"]
        assert where.pod["automountServiceAccountToken"] is False
        assert where.pod["enableServiceLinks"] is False


@in_every_overlay
def test_every_image_has_a_version(name):
    for where in jobs_of(name):
        for container in where.containers:
            _, _, tag = container["image"].rpartition(":")
            assert tag[0].isdigit(), container["image"]


@in_every_overlay
def test_every_container_asks_for_and_is_held_to_cpu_memory_and_disk(name):
    for where in jobs_of(name):
        for container in where.containers:
            requests, limits = container["resources"]["requests"], container["resources"]["limits"]
            assert requests.keys() >= {"cpu", "memory", "ephemeral-storage"}
            assert limits.keys() >= requests.keys()
            assert requests["memory"] == limits["memory"]  # memory cannot be taken back


@in_every_overlay
def test_no_secret_is_in_the_manifests_and_those_that_are_named_come_by_reference(name):
    assert not of_kind(name, "Secret")
    assert "://" not in json.dumps([found.get("data") for found in overlay(name)])
    for where in jobs_of(name):
        for container in where.containers:
            plain = {entry["name"]: entry["value"] for entry in container.get("env", []) if "value" in entry}
            assert not plain.keys() & SECRETS
            assert "://" not in json.dumps(plain)


@in_every_overlay
def test_a_job_gets_the_secrets_it_needs_and_the_demo_none(name):
    both = {"BIDREC_SOURCE_URL", "BIDREC_REDIS"}
    needed = {
        "bidrec-train": both,
        "bidrec-write-back": both,
        "bidrec-materialize": {"BIDREC_REDIS"},
        "bidrec-prune": set(),
    }
    for where in jobs_of(name):
        got = {entry["name"] for one in where.containers for entry in one.get("env", []) if "valueFrom" in entry}
        assert got - {"JOB"} == (set() if name == "demo" else needed[where.cron_job["metadata"]["name"]])


@in_every_overlay
def test_a_job_is_never_two_at_once_and_never_without_an_end(name):
    for where in jobs_of(name):
        cron_job = where.cron_job["spec"]
        assert cron_job["concurrencyPolicy"] == "Forbid"
        assert cron_job["timeZone"] == "Asia/Seoul"
        assert cron_job["startingDeadlineSeconds"] >= 600
        assert where.job["activeDeadlineSeconds"] > 0
        assert where.job["ttlSecondsAfterFinished"] > 0
        assert where.job["backoffLimit"] > 0
        assert where.pod["terminationGracePeriodSeconds"] >= 30


@in_every_overlay
def test_a_training_may_take_until_the_next_night_since_what_is_cut_off_is_lost(name):
    cron_jobs = of_kind(name, "CronJob")
    minute, hour, *_ = map(int, cron_jobs["bidrec-train"]["spec"]["schedule"].split()[:2])
    before, early, *_ = map(int, cron_jobs["bidrec-prune"]["spec"]["schedule"].split()[:2])
    until_prune = (24 + early - hour) * 3600 + (before - minute) * 60
    deadline = cron_jobs["bidrec-train"]["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"]
    assert 0.9 * until_prune < deadline < until_prune


@in_every_overlay
def test_every_exit_code_is_either_tried_again_or_fails_the_job_at_once(name):
    again = {kind.exit_code for kind in AGAIN}
    every = {kind.exit_code for kind in [errors.BidrecError, *errors.BidrecError.__subclasses__()]}
    for where in jobs_of(name):
        assert where.pod["restartPolicy"] == "Never"  # podFailurePolicy demands it
        disruption, fail, count = where.job["podFailurePolicy"]["rules"]
        assert disruption["action"] == "Ignore"
        assert disruption["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
        assert (fail["action"], set(fail["onExitCodes"]["values"])) == ("FailJob", every - again | {2})
        assert (count["action"], set(count["onExitCodes"]["values"])) == ("Count", again)


@in_every_overlay
def test_nothing_reaches_the_jobs_and_they_reach_names_database_and_online_store_only(name):
    (policy,) = of_kind(name, "NetworkPolicy").values()
    for where in jobs_of(name):
        labels = where.job["template"]["metadata"]["labels"]
        assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    own = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "bidrec", "app.kubernetes.io/component": "train"}}}
    ports = [port["port"] for rule in policy["spec"]["egress"] for port in rule.get("ports", [])]
    open_ended = [rule["to"] for rule in policy["spec"]["egress"] if "ports" not in rule]
    assert all(rule["to"] for rule in policy["spec"]["egress"])
    assert ports == ([] if name == "demo" else [53, 53, 5432, 6379])
    assert open_ended == ([[own]] if name == "distributed" else [])
    assert policy["spec"].get("ingress", []) == ([{"from": [own]}] if name == "distributed" else [])


@in_every_overlay
def test_what_a_job_runs_is_a_command_of_ours_and_its_configuration_is_valid(name, tmp_path, monkeypatch):
    monkeypatch.setenv("BIDREC_DEVICE", "cuda")
    (settings,) = of_kind(name, "ConfigMap").values()
    toml = tmp_path / "bidrec.toml"
    toml.write_text(settings["data"]["bidrec.toml"], encoding="utf-8")
    assert load(toml).source.name == "koneps"
    for where in jobs_of(name):
        (container,) = where.pod["containers"]
        words = container["args"]
        own = words[words.index("jobs.cli") + 1 :] if "command" in container else words
        assert own == JOBS[where.cron_job["metadata"]["name"]]
        assert own[0] in COMMANDS
        assert all(before["args"][0] == "simulate" for before in where.pod.get("initContainers", []))


@in_every_overlay
def test_what_a_pod_mounts_is_there_and_lies_where_bidrec_looks_for_it(name):
    claims, settings = of_kind(name, "PersistentVolumeClaim"), of_kind(name, "ConfigMap")
    for where in jobs_of(name):
        volumes = {volume["name"]: volume for volume in where.pod["volumes"]}
        assert volumes["home"]["persistentVolumeClaim"]["claimName"] in claims
        (container,) = where.pod["containers"]
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        assert mounts["/data"]["name"] == "home"  # BIDREC_HOME of the image
        mount = mounts[str(CONFIG_PLACES[-1])]
        assert mount["subPath"] in settings[volumes[mount["name"]]["configMap"]["name"]]["data"]


@in_every_overlay
def test_pods_that_run_at_once_share_a_node_where_the_volume_is_attached_to_one(name):
    (claim,) = of_kind(name, "PersistentVolumeClaim").values()
    for where in jobs_of(name):
        if claim["spec"]["accessModes"] == ["ReadWriteMany"]:
            assert "affinity" not in where.pod
            continue
        (term,) = where.pod["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert term["topologyKey"] == "kubernetes.io/hostname"
        # Its own labels match too, or the first pod would wait for another.
        assert term["labelSelector"]["matchLabels"].items() <= where.job["template"]["metadata"]["labels"].items()


def test_the_store_that_the_jobs_are_told_of_is_one_that_the_image_holds():
    (settings,) = of_kind("cpu", "ConfigMap").values()
    store = Path(tomllib.loads(settings["data"]["bidrec.toml"])["feature_store"])
    root = Path(__file__).parents[2]
    assert f"COPY examples/stores {store.parent}" in (root / "Dockerfile").read_text(encoding="utf-8")
    assert yaml.safe_load((root / "examples" / "stores" / store.name).read_text(encoding="utf-8"))["online_store"]


def test_the_gpu_goes_to_the_training_alone():
    for where in jobs_of("gpu"):
        (container,) = where.pod["containers"]
        trains = where.cron_job["metadata"]["name"] == "bidrec-train"
        assert container["resources"]["limits"].get("nvidia.com/gpu") == (1 if trains else None)
        assert container["image"].endswith("-cuda") == trains
        assert {"name": "BIDREC_DEVICE", "value": "cuda" if trains else "cpu"} in container["env"]
        tolerated = [toleration["key"] for toleration in where.pod.get("tolerations", [])]
        assert tolerated == (["nvidia.com/gpu"] if trains else [])


def test_the_pods_of_a_distributed_training_meet_under_a_name_that_the_service_gives():
    train = of_kind("distributed", "CronJob")["bidrec-train"]["spec"]["jobTemplate"]["spec"]
    pod = train["template"]["spec"]
    (container,) = pod["containers"]
    service = of_kind("distributed", "Service")[pod["subdomain"]]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert service["spec"]["selector"].items() <= train["template"]["metadata"]["labels"].items()
    assert train["completionMode"] == "Indexed"
    assert container["command"] == ["torchrun"]
    port = service["spec"]["ports"][0]["port"]
    assert f"--master-addr=$(JOB)-0.{service['metadata']['name']}" in container["args"]
    assert f"--master-port={port}" in container["args"]
    assert "--node-rank=$(JOB_COMPLETION_INDEX)" in container["args"]  # which an Indexed Job gives each pod
    assert f"--nnodes={train['parallelism']}" in container["args"]
    assert train["completions"] == train["parallelism"]
    (patience,) = (int(one.split("=")[1]) for one in container["args"] if one.startswith("--shutdown-timeout="))
    assert 30 < patience < pod["terminationGracePeriodSeconds"]  # torchrun's own 30 s are few for a large state
    (budget,) = of_kind("distributed", "PodDisruptionBudget").values()
    assert budget["spec"]["minAvailable"] == train["parallelism"]
    (volume,) = of_kind("distributed", "PersistentVolumeClaim").values()
    assert volume["spec"]["accessModes"] == ["ReadWriteMany"]
