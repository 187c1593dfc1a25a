import unicodedata
from datetime import UTC, datetime, timedelta

import pytest

from bidrec.config import Config
from bidrec.explore.lists import LONGEST, Filters, companies_of, notices_of, search
from bidrec.features.build import build_features
from tests import tables
from tests.features.lakes import write_lake
from tests.publishing.versions import publish


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_korean_is_found_whichever_way_it_is_composed(tmp_path, form):
    title = unicodedata.normalize(form, "도로 포장")
    publish(tmp_path, ["1234567890"], [title])
    for asked in ("NFC", "NFD"):
        notices = search(tmp_path, unicodedata.normalize(asked, "포장 도로")).notices
        assert [row["notice_id"] for row in notices] == [title]
    assert search(tmp_path, "포장 교량")[:2] == ([], [])


@pytest.mark.parametrize("asked", ["도로포장", "도로 포장", "㈜금강", "(주)금강", "(주) 금강"])
@pytest.mark.parametrize("title", ["도로 포장 (주)금강", "도로포장 ㈜ 금강"])
def test_korean_is_found_however_it_is_spaced_and_whichever_sign_a_company_has(tmp_path, title, asked):
    publish(tmp_path, ["1234567890"], [title])
    assert [row["notice_id"] for row in search(tmp_path, asked).notices] == [title]
    assert search(tmp_path, "장도").notices == []


@pytest.mark.parametrize("words", ["guimaraes", "Guimarães EVORA", "évora"])
def test_a_name_is_found_with_and_without_its_accents(tmp_path, words):
    publish(tmp_path, ["1234567890"], ["Guimarães, Évora"])
    assert [row["notice_id"] for row in search(tmp_path, words).notices] == ["Guimarães, Évora"]


def test_a_business_number_is_found_with_its_hyphens(tmp_path):
    publish(tmp_path, ["1234567890", "1234567891"], ["20240100001-000"])
    assert [row["company_id"] for row in search(tmp_path, "123-45-67890").companies] == ["1234567890"]
    assert [row["notice_id"] for row in search(tmp_path, "20240100001-000").notices] == ["20240100001-000"]
    assert search(tmp_path, "123-45-6a")[:2] == ([], [])


def test_every_word_of_a_question_counts_up_to_its_longest_and_none_beyond(tmp_path):
    publish(tmp_path, ["1234567890"], [" ".join(f"w{number}" for number in range(60))])
    all_words = " ".join(f"w{number}" for number in range(60))
    assert len(search(tmp_path, all_words).notices) == 1
    assert search(tmp_path, f"{all_words} nowhere")[:2] == ([], [])
    assert len(search(tmp_path, f"{all_words:<{LONGEST}} nowhere").notices) == 1


def test_what_a_source_leaves_open_is_no_licence_and_no_region_to_choose(home):
    write_lake(
        home,
        notice=[tables.notice(0, licence_limit=["water", None])],
        company=[tables.company(0, licences=[None, "road", "water"]), tables.company(1, region=None)],
        bid=[tables.bid(0, 0)],
    )
    build_features(Config(home=str(home)))
    publish(home, ["c0", "c1"], ["n0"])
    companies = companies_of(home, "n0", Filters())
    assert (companies.regions, companies.licences) == (["North"], ["road", "water"])
    assert notices_of(home, "c0", Filters()).licences == ["water"]


NOW = datetime(2025, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("asked", "row", "kept"),
    [
        ({"open": "1"}, {"closes_at": NOW + timedelta(seconds=1)}, True),
        ({"open": "1"}, {"closes_at": NOW}, False),
        ({"open": "1"}, {"closes_at": None}, False),  # nobody knows until when
        ({"least": "1,000"}, {"value": 1000.0}, True),
        ({"least": "1,000"}, {"value": 999.0}, False),
        ({"most": "1000"}, {"value": 1000.0}, True),
        ({"most": "1000"}, {"value": 1001.0}, False),
        ({"least": "1", "most": "2"}, {"value": None}, True),
        ({"least": "much"}, {"value": 1.0}, True),
        ({"region": "north"}, {}, True),
        ({"region": "south"}, {}, False),
        ({"licence": "road"}, {}, True),
        ({"licence": "water"}, {}, False),
    ],
)
def test_a_list_is_narrowed_by_what_is_asked_and_by_nothing_else(asked, row, kept):
    stated = {"region": "north", "licences": ["road"], "value": 5.0, "closes_at": None}
    assert Filters.of(asked).keep(stated | row, NOW) == kept
