"""compose.yaml through testcontainers: KONEPS tables in PostgreSQL, trained on in the image, read from Redis.

BIDREC_TEST_MARKET="200000 20000 1000000" (notices, companies, bids) takes a market of that size and one pair of the
default towers in place of a small model. What is learned is no matter here, so they train for one pass and are measured
on two weeks.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from testcontainers.compose import DockerCompose

from bidrec.simulator import simulate
from tests.e2e import containers
from tests.e2e.containers import ROOT, SMALL, docker

SIZES = os.environ.get("BIDREC_TEST_MARKET", "1200 150 12000").split()
TABLES = ("notice", "company", "bid")
WHOLE = "BIDREC_TEST_MARKET" in os.environ
BRIEF = """
[split]
test_days = 14
validation_days = 14
[training]
epochs = 1
batch_size = 1024
refit = false
candidates = 2048
[model]
members = 1
training_history = 16
[evaluation]
refresh_days = 0
exposures = []
bootstrap = 50
[publish]
margin = 1.0
"""
COUNT = """
import os
from adbc_driver_postgresql import dbapi
with dbapi.connect(os.environ["BIDREC_SOURCE_URL"]) as connection, connection.cursor() as cursor:
    for table in ("notice", "company", "bid"):
        cursor.execute(f"SELECT count(*) FROM {table}")
        print(cursor.fetchone()[0])
"""
COMPARE = """
import json, os
import duckdb
from feast import FeatureStore
import feature_repo
store = FeatureStore(feature_repo.__path__[0], fs_yaml_file="/usr/share/bidrec/stores/redis.yaml")
answer = {"store": store.config.online_store.type}
for side in ("notice", "company"):
    file = f"/data/published/current/{side}_embedding.parquet"
    rows = duckdb.sql(f"SELECT {side}_id, embedding, run_id FROM '{file}' ORDER BY ALL").fetchall()
    features = [f"{side}_embedding:embedding", f"{side}_embedding:run_id"]
    same, runs = 0, set()
    for at in range(0, len(rows), 5000):
        part = rows[at:at + 5000]
        online = store.get_online_features(features, [{f"{side}_id": row[0]} for row in part]).to_dict()
        for (_, embedding, _), found, run in zip(part, online["embedding"], online["run_id"]):
            same += found is not None and list(found) == list(embedding)
            runs.add(run)
    answer[side] = [len(rows), same, sorted(map(str, runs))]
print(json.dumps(answer))
"""
PASSWORDS = {"POSTGRES_PASSWORD": "open-sesame-1", "REDIS_PASSWORD": "open-sesame-2"}
SEARCH = """
import pathlib
files = [path for path in pathlib.Path("/data").rglob("*") if path.is_file()]
print(len(files), *(path for path in files if b"open-sesame" in path.read_bytes()))
"""

pytestmark = pytest.mark.container


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the service `market` invents: the same sizes and seed make the same one."""
    folder = tmp_path_factory.mktemp("market") / "source"
    notices, companies, bids = map(int, SIZES)
    simulate(folder, notices=notices, companies=companies, bids=bids, seed=7)
    return folder


@pytest.fixture(scope="module")
def composed(market: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerCompose]:
    """The whole of compose.yaml, up to the end of its last job."""
    image = containers.image()
    if docker("compose", "version").returncode:
        pytest.skip("no docker compose (Debian: apt-get install docker-compose)")
    folder = tmp_path_factory.mktemp("compose")
    toml = folder / "bidrec.toml"
    base = (ROOT / "k8s" / "base" / "bidrec.toml").read_text(encoding="utf-8")
    toml.write_text(base + (BRIEF if WHOLE else SMALL), encoding="utf-8")
    busiest = duckdb.sql(
        f"SELECT bidprccorpbizrno FROM '{market}/bid/*.parquet' GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
    ).fetchone()
    assert busiest
    environment = {
        "COMPOSE_PROJECT_NAME": "bidrec-test",
        "BIDREC_IMAGE": image,
        "BIDREC_TOML": str(toml),
        "COMPANY": busiest[0],
        **PASSWORDS,
        "MARKET": " ".join(
            f"--{name} {size}" for name, size in zip(("notices", "companies", "bids"), SIZES, strict=True)
        ),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        compose = DockerCompose(str(ROOT), wait=False)
        try:
            compose.start()
            docker("wait", str(compose.get_container("read", include_all=True).ID), timeout=3600)
            yield compose
        finally:
            compose.stop()


def in_a_job(compose: DockerCompose, script: str) -> str:
    """What Python prints in a container like that of the jobs, with their network, volumes and secrets."""
    job = str(compose.get_container("read", include_all=True).ID)
    found = json.loads(docker("inspect", job).stdout)[0]
    secrets = [f"--env={variable}" for variable in found["Config"]["Env"] if variable.startswith("BIDREC_")]
    options = [f"--volumes-from={job}", f"--network={found['HostConfig']['NetworkMode']}", *secrets]
    done = docker("run", "--rm", *options, "--entrypoint", "python", containers.IMAGE, "-c", script, timeout=3600)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_every_job_of_the_flow_ended_well(composed):
    states = {found.Service: found.ExitCode for found in composed.get_containers(include_all=True)}
    assert states == dict.fromkeys(["postgres", "redis", "market", "load", "train", "write-back", "read"], 0)


def test_the_tables_in_postgresql_hold_the_market(composed, market):
    counts = [duckdb.sql(f"SELECT count(*) FROM '{market}/{table}/*.parquet'").fetchone() for table in TABLES]
    assert [(int(line),) for line in in_a_job(composed, COUNT).split()] == counts


def test_what_is_read_last_is_a_vector_and_open_notices_of_that_company(composed):
    printed = composed.get_logs("read")[0]
    lines = [line.partition("| ")[2] for line in printed.splitlines() if '{"job"' not in line]
    answer = json.loads("".join(lines)[: "".join(lines).rindex("}") + 1])
    (embedding,) = answer["embedding"]
    assert len(embedding) == (64 if WHOLE else 16)
    assert sum(number * number for number in embedding) == pytest.approx(1.0, rel=1e-5)
    (notices,) = answer["notice_ids"]
    assert notices


def test_every_vector_in_redis_is_the_one_that_the_run_made(composed):
    answer = json.loads(in_a_job(composed, COMPARE).splitlines()[-1])
    assert answer["store"] == "redis"
    runs = json.loads(in_a_job(composed, "import os, json; print(json.dumps(os.listdir('/data/runs')))"))
    assert answer["notice"] == [int(SIZES[0]), int(SIZES[0]), runs]
    assert answer["company"] == [int(SIZES[1]), int(SIZES[1]), runs]


def test_no_password_is_in_a_file_of_the_home_or_in_a_log(composed):
    number, *found = in_a_job(composed, SEARCH).split()
    assert int(number) > 50
    assert found == []
    jobs = [one for one in composed.get_containers(include_all=True) if one.Service not in ("postgres", "redis")]
    logs = [docker("logs", str(job.ID)) for job in jobs]
    assert all(log.stdout or log.stderr for log in logs)
    assert not [log for log in logs if "open-sesame" in log.stdout + log.stderr]
