"""The Python API on a published market: what it lists, and a notice that arrived after the write-back."""

import subprocess
import sys
from datetime import datetime

import duckdb
import numpy as np
import pytest

import bidrec
from bidrec import Recommender
from bidrec.config import Config
from bidrec.contract import NOTICE
from bidrec.errors import ContractError, InputMissing
from bidrec.publishing.arrived import Arrived, may_bid
from bidrec.publishing.recommend import Published


@pytest.fixture(scope="module")
def recommender(config: Config) -> Recommender:
    return Recommender.load(config.home_path)


def raw_notices(config: Config, limited: str = "", number: int = 6) -> list[dict]:
    """Notices as the lake has them: canonical columns."""
    columns = ", ".join(column.name for column in NOTICE.columns)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        result = connection.execute(
            f"""SELECT {columns} FROM '{config.home_path}/lake/notice/*.parquet'
                {limited} ORDER BY hash(notice_id) LIMIT {number}"""
        )
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def test_importing_bidrec_loads_nothing_but_itself_until_the_recommender_is_asked_for():
    script = (
        "import sys, bidrec; print(sum(n.startswith(('duckdb', 'numpy', 'torch', 'pyarrow')) for n in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
    with pytest.raises(AttributeError, match="no attribute 'Recomender'"):
        bidrec.Recomender  # noqa: B018


def test_a_recommender_says_which_version_it_reads(config: Config, recommender: Recommender) -> None:
    assert recommender.folder == (config.home_path / "published" / "current").resolve()
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        written = connection.execute(
            f"SELECT DISTINCT written_at FROM '{recommender.folder}/notice_recommendations.parquet'"
        ).fetchall()
    assert written == [(recommender.written_at,)]


def test_the_reasons_of_many_pairs_at_once_are_those_of_their_lists(config: Config, recommender: Recommender) -> None:
    notice_id = Published(config.home_path).an_open_notice()
    companies = recommender.companies_for(notice_id, k=20)
    pairs = [(notice_id, company.company_id) for company in companies]
    assert any(company.reasons for company in companies)
    assert recommender.reasons_for([*pairs, ("nobody's", "nobody")]) == [*(c.reasons for c in companies), ()]
    assert recommender.reasons_for([]) == []


def test_an_open_notice_and_a_company_have_their_published_lists(config: Config, recommender: Recommender) -> None:
    published = Published(config.home_path)
    notice_id = published.an_open_notice()
    companies = recommender.companies_for(notice_id, k=5)
    listed = published.companies_for(notice_id, 5)[1]
    assert [(c.rank, c.company_id, c.score) for c in companies] == [
        (row["rank"], row["company_id"], row["score"]) for row in listed
    ]
    assert {c.score_is for c in companies} == {"probability"}
    assert [len(c.reasons) for c in companies] == [len(row["reasons"]) for row in listed]
    notices = recommender.notices_for(companies[0].company_id, k=100)
    wanted = published.notices_for(companies[0].company_id, 100)[1]
    assert [(n.rank, n.notice_id, n.closes_at) for n in notices] == [
        (row["rank"], row["notice_id"], row["closes_at"]) for row in wanted
    ]
    assert notice_id in {n.notice_id for n in notices}
    assert recommender.run_id == published.run_id
    assert recommender.as_of.utcoffset().total_seconds() == 0


def test_a_notice_from_its_raw_fields_has_the_vector_that_was_published_for_it(config: Config) -> None:
    published = Published(config.home_path)
    arrived = Arrived.of(config.home_path, published.run_id)
    for notice in raw_notices(config):
        vector_1D, _, _ = arrived.vector(notice)
        _, wanted_1D = published._vectors("notice_embedding", "notice_id", [notice["notice_id"]])
        np.testing.assert_allclose(vector_1D, wanted_1D, atol=1e-5)


def test_who_may_bid_on_a_new_notice_is_who_may_bid_on_a_published_one(config: Config) -> None:
    """Against the rule written down anew, in plain Python."""
    published = Published(config.home_path)
    (notice,) = raw_notices(config, "WHERE len(region_limit) > 0 AND len(licence_limit) > 0", 1)
    ids, _ = published._vectors("company_embedding", "company_id")
    given = may_bid(config.home_path, published.as_of, ids, notice["region_limit"], notice["licence_limit"])
    with duckdb.connect() as connection:
        profiles = connection.execute(
            f"""SELECT company_id, region, licences FROM '{config.home_path}/features/company_profile/*.parquet'
                WHERE known_at <= $1 ORDER BY known_at""",
            [published.as_of],
        ).fetchall()
    newest = {company_id: (region, licences) for company_id, region, licences in profiles}
    wanted = []
    for company_id in ids:
        region, licences = newest.get(company_id, (None, None))
        in_region = not region or region in notice["region_limit"]
        licensed = licences is None or bool({*licences} & {*notice["licence_limit"]})
        wanted.append(in_region and licensed)
    assert given.tolist() == wanted
    assert 0 < sum(wanted) < len(wanted)


def test_companies_for_a_new_notice_are_ranked_by_cosine_among_those_that_may_bid(
    config: Config, recommender: Recommender
) -> None:
    (notice,) = raw_notices(config, "WHERE len(region_limit) > 0", 1)
    found = recommender.companies_for_new(notice | {"notice_id": "never seen"}, k=7)
    assert [c.rank for c in found] == list(range(1, len(found) + 1))
    assert {c.score_is for c in found} == {"cosine"}
    assert {c.region for c in found} - {None} <= {*notice["region_limit"]}
    everybody = recommender.companies_for_new(notice | {"region_limit": None, "licence_limit": None}, k=10_000)
    assert len(everybody) > len(found)


def test_a_notice_needs_only_an_id_and_a_time_with_a_zone(recommender: Recommender) -> None:
    bare = {"notice_id": "x", "published_at": "2025-07-01T10:00:00+09:00"}
    assert recommender.companies_for_new(bare, k=3)
    for wrong, words in (
        ({"notice_id": "x"}, "published_at"),
        (bare | {"tittle": "Road"}, "tittle"),
        (bare | {"published_at": datetime(2025, 7, 1)}, "zone"),
        (bare | {"value": "much"}, "cannot be read"),
        (bare | {"log_value": 3.0}, "log_value"),
        (bare | {"value": -1.0}, "value is negative"),
        (bare | {"closes_at": "2025-06-01T00:00:00Z"}, "closes_at is before"),
    ):
        with pytest.raises(ContractError, match=words):
            recommender.companies_for_new(wrong)


def test_what_is_not_there_is_missing_input(recommender: Recommender, tmp_path) -> None:
    with pytest.raises(InputMissing):
        Recommender.load(tmp_path)
    with pytest.raises(InputMissing):
        recommender.companies_for("never published")
