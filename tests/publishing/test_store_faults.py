"""The online store dies while a publication is brought online."""

import subprocess
import sys
import time

import pytest

from bidrec.config import Config
from bidrec.features.feature_store import repository
from bidrec.features.registry import apply, materialize, open_store
from bidrec.publishing.write_back import VIEWS
from tests import redis
from tests.publishing.versions import publish

COMPANIES = [f"c{number:04d}" for number in range(3000)]

MATERIALIZE = """
import sys
from bidrec.features.registry import materialize
from jobs.options import command
from jobs.output import Result

@command
def bring_online(config):
    materialize(config, ["company_embedding"])
    return Result()

bring_online.main(["--config", sys.argv[1]])
"""


def runs_online(config: Config) -> list[str | None]:
    """The run that each company's vector online came from."""
    answer = open_store(config).get_online_features(
        ["company_embedding:run_id"], [{"company_id": company} for company in COMPANIES]
    )
    return answer.to_dict()["run_id"]


@pytest.mark.redis
@pytest.mark.skipif(redis.missing() is not None, reason=str(redis.missing()))
def test_a_redis_that_dies_in_the_middle_is_down_and_the_next_job_completes_what_was_begun(tmp_path, monkeypatch):
    examples = repository().parent / "examples" / "stores" / "redis.yaml"
    store, toml = tmp_path / "store.yaml", tmp_path / "bidrec.toml"
    store.write_text(examples.read_text().replace("batch_size: 10000", "batch_size: 50"))
    toml.write_text(f'home = "{tmp_path}/home"\nfeature_store = "{store}"\n')
    config = Config(home=str(tmp_path / "home"), feature_store=str(store))
    with redis.server() as server:
        monkeypatch.setenv("BIDREC_REDIS", server.address)
        apply(config)
        publish(config.home_path, COMPANIES, run="old")
        materialize(config, VIEWS)
        publish(config.home_path, COMPANIES, run="new")
        job = subprocess.Popen(
            [sys.executable, "-c", MATERIALIZE, str(toml)], stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )
        before = server.writes()
        while server.writes() < before + 300:
            assert job.poll() is None, "the job ended before the server could be killed"
            time.sleep(0.002)
        server.kill()
        _, said = job.communicate(timeout=120)
        assert job.returncode == 69, said
        assert "Traceback" not in said
        assert redis.PASSWORD not in said
        server.start()
        assert set(runs_online(config)) == {"old", "new"}
        materialize(config, VIEWS)
        assert set(runs_online(config)) == {"new"}
