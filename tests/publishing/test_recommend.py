from datetime import UTC, datetime

import duckdb
import numpy as np
import pytest

from bidrec.errors import ContractError, InputMissing
from bidrec.explore.lists import search
from bidrec.publishing.layout import READ
from bidrec.publishing.recommend import Published
from bidrec.runs.run import Run
from bidrec.storage.sealed import write_json
from tests.publishing.versions import publish

COMPANIES = [f"c{number}" for number in range(9)]
NOTICES = [f"n{number}" for number in range(6)]
CLOSED = NOTICES[4:]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Lists of three in the order opposite to the cosines', so that it shows which was read."""
    home = tmp_path_factory.mktemp("home")
    publish(home, COMPANIES, NOTICES, closed=CLOSED, listed=3, order=-1)
    return Published(home)


def vectors(published, table):
    rows = duckdb.execute(f"SELECT * FROM '{published.folder}/{table}_embedding.parquet' ORDER BY 1").fetchall()
    return {row[0]: np.array(row[-1], np.float32) for row in rows}


def by_cosine(asked_D, others):
    return sorted(others, key=lambda name: -float(asked_D @ others[name]))


def names(listed, key):
    assert [row["rank"] for row in listed] == list(range(1, len(listed) + 1))
    assert [row["score"] for row in listed] == sorted((row["score"] for row in listed), reverse=True)
    return [row[key] for row in listed]


def test_what_is_said_of_a_notice_and_a_company_is_what_every_publication_must_have_and_no_column_beside(published):
    of_list = {"rank", "score", "score_is", "reasons"}
    notice, companies = published.companies_for(NOTICES[0], 3)
    company, notices = published.notices_for(COMPANIES[0], 3)
    assert {*duckdb.sql(f"FROM '{published.folder}/companies.parquet'").columns} > {*READ["companies"]}
    assert (tuple(notice), tuple(company)) == (READ["notices"], READ["companies"])
    assert {key for row in companies for key in row} == of_list | {*READ["companies"]}
    assert {key for row in notices for key in row} == of_list | {*READ["notices"]}
    found = search(published.home, "of")
    assert (tuple(found.notices[0]), tuple(found.companies[0])) == (READ["notices"], READ["companies"])


@pytest.mark.parametrize("k", [1, 3, 100])
def test_an_open_notice_has_its_published_list_however_long_that_is(published, k):
    notice, companies = vectors(published, "notice"), vectors(published, "company")
    for notice_id in NOTICES[:4]:
        asked, listed = published.companies_for(notice_id, k)
        assert asked["notice_id"] == notice_id
        assert names(listed, "company_id") == by_cosine(-notice[notice_id], companies)[: min(k, 3)]


@pytest.mark.parametrize("notice_id", CLOSED)
def test_a_closed_notice_has_no_published_list_and_is_ranked_by_the_vectors(published, notice_id):
    companies = vectors(published, "company")
    _, listed = published.companies_for(notice_id, 100)
    assert names(listed, "company_id") == by_cosine(vectors(published, "notice")[notice_id], companies)


def test_a_company_has_its_published_list_and_by_the_vectors_what_was_open_at_another_time(published):
    notice, companies = vectors(published, "notice"), vectors(published, "company")
    for company_id in COMPANIES:
        open_ones = {name: notice[name] for name in NOTICES[:4]}
        _, listed = published.notices_for(company_id, 100)
        assert names(listed, "notice_id") == by_cosine(-companies[company_id], open_ones)[:3]
        _, then = published.notices_for(company_id, 100, datetime(2024, 12, 10, tzinfo=UTC))
        assert names(then, "notice_id") == by_cosine(companies[company_id], notice)


def test_a_time_at_which_nothing_was_open_and_an_unknown_id_are_missing_input(published, tmp_path):
    for ask in (
        lambda: published.notices_for("c0", 5, datetime(2020, 1, 1, tzinfo=UTC)),
        lambda: published.notices_for("nobody", 5),
        lambda: published.companies_for("nothing", 5),
        lambda: Published(tmp_path),
    ):
        with pytest.raises(InputMissing) as error:
            ask()
        assert error.value.exit_code == 66


def test_who_has_trained_is_not_sent_to_train_again_where_nothing_is_published(tmp_path):
    with pytest.raises(InputMissing) as error:
        Published(tmp_path)
    assert error.value.hint == "bidrec train, then bidrec write-back"
    run = Run(tmp_path / "runs" / "20250101T000000Z-aaaaaa")
    write_json(run.folder / "config.json", {"config": {}})
    run.finish()
    with pytest.raises(InputMissing) as error:
        Published(tmp_path)
    assert error.value.hint == "bidrec write-back publishes the newest run, or says why it may not be published"


@pytest.mark.parametrize("k", [0, -1])
def test_a_list_of_less_than_one_is_refused(published, k):
    vector = [1.0] * 8
    for ask in (
        lambda: published.companies_for(NOTICES[0], k),
        lambda: published.companies_for(CLOSED[0], k),
        lambda: published.notices_for("c0", k),
        lambda: published.companies_near(vector, k),
        lambda: published.notices_near(vector, k),
        lambda: published.companies_for_new({"notice_id": "x"}, k),
    ):
        with pytest.raises(ContractError, match="at least 1"):
            ask()


def test_a_home_may_be_named_by_a_text(published):
    assert Published(str(published.home)).companies_for(NOTICES[0], 1) == published.companies_for(NOTICES[0], 1)


def test_where_no_notice_is_open_companies_have_no_list(tmp_path):
    publish(tmp_path, COMPANIES, NOTICES, closed=NOTICES)
    published = Published(tmp_path)
    assert published.an_open_notice() is None
    with pytest.raises(InputMissing, match="no notice is open"):
        published.notices_for("c0", 5)


def test_an_id_that_is_written_in_another_way_is_found_and_one_like_none_is_not_guessed(tmp_path):
    publish(tmp_path, ["1234567890", "1299999999"], ["20240100001-000", "20240100001-001", "20240100002-000"])
    published = Published(tmp_path)
    for asked, meant in (
        (lambda: published.companies_for("20240100001", 3), "did you mean 20240100001-001 or 20240100001-000?"),
        (lambda: published.notices_for("123-45-67890", 3), "did you mean 1234567890?"),
        (lambda: published.notices_for("12", 3), "bidrec explore finds it"),
        (lambda: published.notices_for("----", 3), "bidrec explore finds it"),
    ):
        with pytest.raises(InputMissing) as caught:
            asked()
        assert meant in str(caught.value)
