import shutil
from datetime import timedelta

import duckdb
import pytest

from bidrec.config import Config
from bidrec.errors import ContractError, Interrupted
from bidrec.features.build import build_features
from bidrec.publishing.layout import reading_features
from bidrec.publishing.reasons import in_words, reasons_for
from bidrec.publishing.recommend import Published
from bidrec.storage.sealed import MANIFEST, read_manifest, write_json
from bidrec.storage.whole import whole_folder
from tests import tables
from tests.features.lakes import add_part, write_lake
from tests.publishing.versions import publish

START = tables.notice(0)["published_at"]


@pytest.fixture
def market(home):
    """Notices 0 to 3 before, notice 9 asked about; company c0 bid on all of them, one of these openings is to come."""
    same = {"unit": "u1", "place": "Pune", "category": "roads"}
    kinds = [same, same | {"place": "Delhi"}, same | {"unit": "u2", "category": "bridges"}, same]
    notices = [
        tables.notice(n, published_at=START, **kind) for n, kind in enumerate([*kinds, *[same] * 6]) if n < 4 or n == 9
    ]
    opened = [START + timedelta(days=days) for days in (10, 20, 30, 50)]
    bids = [tables.bid(n, 0, event_at=at, known_at=at) for n, at in enumerate(opened)]
    write_lake(home, notice=notices, bid=bids)
    build_features(Config(home=str(home)))
    return home


def test_known_bids_at_the_same_office_place_and_category_are_counted_the_opening_to_come_is_not(market):
    (reasons,) = reasons_for(market, [("n9", "c0")], START + timedelta(days=40))
    assert reasons == [
        {"of": "office", "bids": 2, "days_ago": 20},
        {"of": "place", "bids": 2, "days_ago": 10},
        {"of": "category", "bids": 2, "days_ago": 20},
    ]
    assert in_words(reasons[:1]) == "2 bids to this office, last 20 days ago"


@pytest.mark.parametrize("hour", [0, 8, 9, 23])
def test_an_opening_is_of_yesterday_at_any_hour_of_the_next_day(market, hour):
    as_of = (START + timedelta(days=21)).replace(hour=hour, minute=30)
    (reasons,) = reasons_for(market, [("n9", "c0")], as_of)
    assert in_words(reasons[:1]) == "2 bids to this office, last yesterday"


@pytest.mark.parametrize(
    ("days", "said"), [(0, "today"), (1, "yesterday"), (2, "2 days ago"), (1234, "1,234 days ago")]
)
def test_how_long_ago_a_bid_was_is_said_as_people_say_it(days, said):
    reasons = [{"of": "place", "bids": 1, "days_ago": days}, {"of": "category", "bids": 1234, "days_ago": days}]
    assert in_words(reasons) == f"1 bid in this place, last {said}; 1,234 bids in this category, last {said}"


@pytest.mark.parametrize(("merged", "error"), [(True, Interrupted), (False, ContractError)])
def test_a_file_that_goes_while_it_is_read_is_damage_unless_the_features_are_whole_without_it(market, merged, error):
    features, old, new = market / "features", "bid_log/000001.parquet", "bid_log/merged-000002.parquet"
    if merged:
        manifest = read_manifest(features)
        manifest["files"][new] = manifest["files"].pop(old)
        with whole_folder(features) as folder:
            shutil.copytree(features, folder, dirs_exist_ok=True)
            (folder / old).rename(folder / new)
            write_json(folder / MANIFEST, manifest)
    else:
        (features / old).unlink()
    with pytest.raises(error), reading_features(market):
        duckdb.execute(f"FROM read_parquet('{features / old}')")


def test_each_pair_has_its_reasons_in_the_order_asked_and_a_stranger_has_none(market):
    asked = [("n9", "c7"), ("n9", "c0"), ("n2", "c0")]
    found = reasons_for(market, asked, START + timedelta(days=20))
    assert [len(reasons) for reasons in found] == [0, 3, 1]
    assert in_words(found[0]) == "no bid to this office, in this place or category: the model goes by the rest"
    assert in_words(found[2]) == "1 bid in this place, last 10 days ago"


def test_a_bid_on_the_notice_itself_is_no_reason_for_it(market):
    """The company's bids on notices 0 and 1 are known, which share office and category."""
    (reasons,) = reasons_for(market, [("n0", "c0")], START + timedelta(days=20))
    assert reasons == [{"of": what, "bids": 1, "days_ago": 0} for what in ("office", "category")]


def test_of_a_notice_that_the_features_do_not_have_nothing_is_said_and_the_others_keep_their_reasons(market):
    found = reasons_for(market, [("gone", "c0"), ("n9", "c0")], START + timedelta(days=20))
    assert [len(reasons) for reasons in found] == [0, 3]


def test_a_published_notice_that_the_features_do_not_have_any_more_is_listed_without_reasons(market):
    publish(market, ["c0"], ["gone"])
    _, companies = Published(market).companies_for("gone", 3)
    assert [(row["company_id"], row["reasons"]) for row in companies] == [("c0", [])]


def test_a_home_without_features_says_nothing(tmp_path):
    assert reasons_for(tmp_path, [("n9", "c0")], START) == [[]]
    assert reasons_for(tmp_path, [], START) == []


@pytest.mark.parametrize("other", ["company_profile", "nothing"])
def test_features_that_are_not_what_they_must_be_are_said_to_be_damaged(market, other):
    for file in (market / "features" / "bid_log").glob("*.parquet"):
        source = market / "features" / other / file.name
        file.write_bytes(source.read_bytes() if source.is_file() else b"nothing")
    with pytest.raises(ContractError, match="damaged"):
        reasons_for(market, [("n9", "c0")], START + timedelta(days=40))


@pytest.mark.parametrize("gone", ["notice/*", "bid_log/*", "manifest.json"])
def test_features_of_which_a_file_is_gone_are_damaged_and_do_not_say_that_there_are_no_reasons(market, gone):
    for file in (market / "features").glob(gone):
        file.unlink()
    with pytest.raises(ContractError, match="damaged"):
        reasons_for(market, [("n9", "c0")], START + timedelta(days=40))


def test_of_the_segments_of_a_table_not_one_may_be_missing(market):
    later = START + timedelta(days=60)
    write_lake(market, notice=[tables.notice(9, published_at=START)], read_at=START.isoformat())
    shutil.rmtree(market / "features")
    build_features(Config(home=str(market)))
    add_part(market, {"read_at": later.isoformat()}, notice=[tables.notice(10, published_at=later, known_at=later)])
    build_features(Config(home=str(market)))
    first, *_, last = sorted((market / "features" / "notice").glob("*.parquet"))
    assert first != last
    first.unlink()
    with pytest.raises(ContractError, match=first.name):
        reasons_for(market, [("n9", "c0")], START + timedelta(days=40))
