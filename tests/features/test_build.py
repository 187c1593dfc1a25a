import math
from datetime import UTC, datetime, timedelta

import pytest

from bidrec.config import Config
from bidrec.errors import ContractError, InputMissing
from bidrec.features.build import build_features
from bidrec.lake import part_file
from bidrec.storage import content_of, read_manifest
from tests import tables
from tests.features.lakes import read, write_lake


@pytest.fixture
def config(home):
    return Config(home=str(home))


def one_notice(home, **columns):
    write_lake(home, notice=[tables.notice(**columns)])
    build_features(Config(home=str(home)))
    return read(home, "notice")[0]


def test_a_notice_is_what_it_was_at_its_publication(home):
    published = datetime(2024, 2, 29, 23, tzinfo=UTC)
    row = one_notice(
        home,
        published_at=published,
        closes_at=published + timedelta(days=3, hours=12),
        value=1000.0,
        deposit=0.0,
        fee=None,
        duration_days=180.0,
        unit="PWD",
        place="  Kullu   Town ",
        category="Road",
        method="Open",
    )
    assert row["log_value"] == pytest.approx(math.log(1001))
    assert (row["log_deposit"], row["deposit_band"]) == (0.0, "zero")
    assert (row["log_fee"], row["fee_band"]) == (None, None)
    assert row["log_duration"] == pytest.approx(math.log(181))
    assert row["lead_days"] == 3.5
    assert (row["month"], row["weekday"]) == ("February", "Thursday")
    assert row["place"] == "kullu town"
    assert row["place_unit"] == "kullu town|PWD"
    assert row["unit_method"] == "PWD|Open"
    # log2(1000) = 9.97: the half-octave from 2^9.5 to 2^10.
    assert row["category_value_band"] == "Road|19"


def test_nothing_that_comes_after_the_publication_is_a_feature_of_the_notice(home):
    row = one_notice(home)
    assert not {"opened_at", "bids", "won", "winner"} & row.keys()
    later = one_notice(home, opened_at=tables.NOW + timedelta(days=9))
    assert later == row


def test_a_cross_of_something_missing_is_missing(home):
    row = one_notice(home, unit=None, place="Kullu", category=None)
    assert [name for name in row if "|" in str(row[name])] == []
    assert row["place_unit"] is None


def test_a_column_of_the_source_is_carried_through(home, config):
    write_lake(
        home,
        notice=[tables.notice(is_urgent=True, tags=["a", "b"])],
        company=[tables.company(rating=4.5)],
    )
    build_features(config)
    assert {name: read(home, "notice")[0][name] for name in ("is_urgent", "tags")} == {
        "is_urgent": True,
        "tags": ["a", "b"],
    }
    assert read(home, "company_profile")[0]["rating"] == 4.5


def test_a_column_of_the_source_named_like_a_feature_is_refused(home, config):
    write_lake(home, notice=[tables.notice(Log_Value=3.0)])
    with pytest.raises(ContractError, match=r"notice: .* log_value"):
        build_features(config)
    assert not (home / "features").exists()


def test_without_a_lake_the_build_says_what_to_run(config):
    with pytest.raises(InputMissing, match="run: bidrec ingest"):
        build_features(config)


def test_row_numbers_point_at_the_rows_they_mean(home, config):
    notices = [tables.notice(number, published_at=tables.NOW - number * tables.DAY) for number in range(5)]
    write_lake(home, notice=notices, bid=[tables.bid(of=number, by=number % 2) for number in range(5)])
    build_features(config)
    rows = read(home, "notice")
    assert [row["notice_id"] for row in rows] == ["n4", "n3", "n2", "n1", "n0"]
    log = read(home, "bid_log")
    assert [rows[bid["notice_row"]]["notice_id"] for bid in log] == [bid["notice_id"] for bid in log]
    assert [bid["company_id"] for bid in log] == ["c0", "c0", "c0", "c1", "c1"]


def test_a_company_may_bid_without_a_record_and_have_a_record_without_a_bid(home, config):
    write_lake(home, notice=[tables.notice()], company=[tables.company(1)], bid=[tables.bid(by=0)])
    build_features(config)
    assert [row["company_id"] for row in read(home, "company_profile")] == ["c1"]
    assert [row["company_id"] for row in read(home, "company_activity")] == ["c0"]


def test_a_market_without_bids_has_empty_histories(home, config):
    write_lake(home, notice=[tables.notice()])
    manifest = build_features(config)
    assert {name: table["rows"] for name, table in manifest["tables"].items()} == {
        "notice": 1,
        "company_profile": 0,
        "bid_log": 0,
        "company_activity": 0,
    }


def test_the_same_lake_gives_the_same_bytes_and_an_unchanged_one_is_left_alone(home, config):
    notices, bids = [tables.notice(number) for number in range(3)], [tables.bid(of=number) for number in range(3)]
    write_lake(home, notice=notices, bid=bids)
    first = build_features(config)
    written = (home / "features").stat().st_mtime_ns
    assert build_features(config) == first
    assert (home / "features").stat().st_mtime_ns == written
    again = build_features(config, force=True)
    assert content_of(again) == content_of(first)
    write_lake(home, notice=notices, bid=bids[:2])
    assert build_features(config)["tables"]["bid_log"]["rows"] == 2


def test_a_build_that_dies_leaves_the_old_features_and_nothing_else(home, config):
    write_lake(home, notice=[tables.notice()], bid=[tables.bid()])
    before = build_features(config)
    write_lake(home, notice=[tables.notice(), tables.notice(1)], bid=[tables.bid()])
    (home / "lake" / part_file("bid", 1)).write_bytes(b"PAR1 torn")
    with pytest.raises(Exception, match=r"000001\.parquet"):
        build_features(config)
    assert read_manifest(home / "features") == before
    assert sorted(path.name for path in home.iterdir()) == ["features", "lake"]
