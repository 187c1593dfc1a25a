"""Which keys are online, in each kind of store; a teardown leaves none of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bidrec.config import Config
from bidrec.features import feast_command
from bidrec.features.feature_store import repository
from bidrec.features.online import views_with
from bidrec.features.registry import apply, materialize
from bidrec.publishing.write_back import VIEWS
from tests import postgres, redis
from tests.publishing.versions import publish

STORES = repository().parent / "examples" / "stores"
OF_COMPANIES = ["company_embedding", "company_recommendations"]


def _redis() -> Iterator[tuple[str, dict[str, str]]]:
    if reason := redis.missing():
        pytest.skip(reason)
    with redis.server() as server:
        yield str(STORES / "redis.yaml"), {"BIDREC_REDIS": server.address}


def _postgres() -> Iterator[tuple[str, dict[str, str]]]:
    with postgres.server_with_vectors() as server:
        yield str(STORES / "postgres.yaml"), server.variables


def _sqlite() -> Iterator[tuple[str, dict[str, str]]]:
    yield "", {}


@pytest.fixture(
    params=[
        pytest.param(_sqlite, id="sqlite"),
        pytest.param(_redis, id="redis", marks=pytest.mark.redis),
        pytest.param(_postgres, id="postgres", marks=pytest.mark.postgres),
    ]
)
def config(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Config]:
    for store, variables in request.param():
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield Config(home=str(tmp_path / "home"), feature_store=store)


def test_a_key_is_online_with_values_and_without_until_the_store_is_emptied(config):
    asked = {"company_id": {"bharat"}, "notice_id": set()}
    assert views_with(config, asked) == []  # nothing was applied
    apply(config)
    publish(config.home_path, ["apex", "bharat"], run="first")
    materialize(config, VIEWS)
    assert sorted(views_with(config, asked)) == OF_COMPANIES
    assert views_with(config, {"company_id": {"chola"}, "notice_id": {"bharat"}}) == []

    publish(config.home_path, ["apex"], run="second")
    materialize(config, VIEWS)
    assert sorted(views_with(config, asked)) == OF_COMPANIES  # withdrawn: a row without values
    feast_command.run(config, ["teardown"])
    assert views_with(config, asked) == []
    apply(config)
    assert views_with(config, asked) == []
    feast_command.run(config, ["teardown"])
    assert feast_command.run(config, ["apply"])[1] == 0
