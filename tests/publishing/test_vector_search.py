"""Vector search for downstream users: Feast over PostgreSQL with pgvector, held to the exact order of our own."""

from pathlib import Path

import numpy as np
import pytest

from bidrec.config import Config
from bidrec.errors import ContractError
from bidrec.features.registry import apply, materialize, open_store
from bidrec.publishing.recommend import Published
from bidrec.publishing.write_back import VIEWS
from tests import postgres
from tests.publishing.versions import publish, units

STORE = Path("examples/stores/postgres.yaml").resolve()
COMPANIES = [f"c{number:03d}" for number in range(300)]


@pytest.fixture(scope="module")
def server():
    with postgres.server_with_vectors() as server:
        yield server


@pytest.mark.postgres
def test_feasts_vector_search_gives_the_companies_that_are_published_in_our_exact_order(server, tmp_path, monkeypatch):
    for name, value in server.variables.items():
        monkeypatch.setenv(name, value)
    config = Config(home=str(tmp_path / "home"), feature_store=str(STORE))
    apply(config)
    publish(config.home_path, COMPANIES, run="before")
    materialize(config, VIEWS)
    publish(config.home_path, COMPANIES[100:], run="after")
    materialize(config, VIEWS)

    store, published = open_store(config), Published(config.home_path)
    for query in units(np.random.default_rng(7), rows=5, length=8):
        exact = published.companies_near(query.tolist(), 20)
        answer = store.retrieve_online_documents_v2(
            features=["company_embedding:run_id"], query=query.tolist(), top_k=20
        ).to_dict()
        assert answer["company_id"] == [row["company_id"] for row in exact]
        assert set(answer["run_id"]) == {"after"}
        # Feast gives the keys in the order of their distance, and all else in another (docs/serving.md).
        cosines = 1 - np.sort(answer["distance"])
        np.testing.assert_allclose(cosines, [row["score"] for row in exact], atol=1e-6)


@pytest.mark.postgres
def test_a_company_without_an_open_notice_has_an_empty_list_online_there_too(server, tmp_path, monkeypatch):
    for name, value in server.variables.items():
        monkeypatch.setenv(name, value)
    config = Config(home=str(tmp_path / "home"), feature_store=str(own_project(tmp_path, "closed")))
    apply(config)
    publish(config.home_path, COMPANIES[:2], notices=["road"], closed=["road"])
    materialize(config, VIEWS)
    names = ["notice_ids", "scores", "closes_at"]
    answer = open_store(config).get_online_features(
        [f"company_recommendations:{name}" for name in names], [{"company_id": COMPANIES[0]}]
    )
    assert {name: answer.to_dict()[name] for name in names} == {name: [[]] for name in names}


def own_project(folder: Path, name: str) -> Path:
    store = folder / "store.yaml"
    store.write_text(STORE.read_text().replace("project: bidrec", f"project: {name}"))
    return store


@pytest.mark.parametrize(
    ("vector", "said"),
    [
        ([1.0] * 7, "7 numbers.*have 8"),
        ([0.0] * 8, "no direction"),
        ([float("nan")] * 8, "no direction"),
        ([1e300] * 8, "no direction"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_vector_that_cannot_be_compared_is_refused(tmp_path, vector, said):
    publish(tmp_path, COMPANIES[:3])
    with pytest.raises(ContractError, match=said):
        Published(tmp_path).companies_near(vector, 2)


def test_notices_near_a_vector_are_the_open_ones_by_cosine_whatever_its_length(tmp_path):
    publish(tmp_path, COMPANIES[:3], notices=[f"n{number}" for number in range(50)])
    published = Published(tmp_path)
    ids, vectors_ND = published._vectors("notice_embedding", "notice_id")
    query = units(np.random.default_rng(3), rows=1, length=8)[0]
    near = published.notices_near((7 * query).tolist(), 10)
    assert [row["notice_id"] for row in near] == [ids[row] for row in np.argsort(-(vectors_ND @ query))[:10]]
