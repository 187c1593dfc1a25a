"""KONEPS changes between two ingests: what comes of it in the lake, from dumps and from a real PostgreSQL."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from bidrec.config import Config, Source
from bidrec.errors import ContractError
from bidrec.lake.erase import erase_from_lake
from bidrec.lake.ingest import ingest
from tests import postgres
from tests.sources.koneps_tables import Row, raw_bid, raw_company, raw_notice
from tests.sources.test_koneps import seoul, write_dump
from tests.sources.test_postgres import create, needs_server
from tests.tables import lake

FIRST, SECOND, THIRD = (datetime(2024, 1, day, tzinfo=UTC) for day in (12, 15, 18))
"""When the ingests read. The notice of `raw_notice` was opened on the 10th, at 11:00 in Seoul."""


class Market:
    """A home, and tables whose content a test sets."""

    def __init__(self, home: Path, server: postgres.Server | None) -> None:
        self.home, self.server = home, server
        self.schema = f"market_{abs(hash(home))}"

    def ingest(self, now: datetime, notices: list[Row], companies: list[Row], bids: list[Row]) -> dict[str, dict]:
        """The tables hold these rows now: ingest them. Returns what came of each table."""
        notices = [{"ntcekindnm": "일반", "chgdt": "", **row} for row in notices]
        if self.server is None:
            write_dump(self.home / "dump", notices, companies, bids)
            source = Source(name="koneps", path=str(self.home / "dump"), url="")
        else:
            with psycopg.connect(self.server.url) as connection:
                connection.execute(f"DROP SCHEMA IF EXISTS {self.schema} CASCADE")
                create(connection, self.schema, notice=notices, company=companies, bid=bids)
            source = Source(name="koneps", url=self.server.url, schema=self.schema)
        manifest = ingest(Config(home=str(self.home), source=source), now=now)
        return {
            name: {kind: n for kind, n in came.items() if n} for name, came in manifest["ingests"][-1]["came"].items()
        }


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    with postgres.server() as server:
        yield server


@pytest.fixture(params=["dumps", pytest.param("server", marks=needs_server)])
def market(request: pytest.FixtureRequest, tmp_path: Path) -> Market:
    return Market(tmp_path, request.getfixturevalue("server") if request.param == "server" else None)


def test_a_late_opening_and_a_corrected_bid_are_known_when_they_came(market):
    market.ingest(
        FIRST, [raw_notice(1), raw_notice(2)], [raw_company()], [raw_bid(1, collected_at="2024-01-11 03:00:00")]
    )
    corrected = raw_bid(1, bidprcamt="870000", collected_at="2024-01-14 03:00:00")
    late = raw_bid(
        2, collected_at="2024-01-14 03:00:00"
    )  # opened on the 10th too, but nobody could read it by the 12th
    came = market.ingest(SECOND, [raw_notice(1), raw_notice(2)], [raw_company()], [corrected, late])
    assert came["bid"] == {"rows": 2, "new": 1, "late": 1, "changed": 1}
    facts = "notice_id, amount, known_at, part"
    assert lake(market.home, "lake_bid", facts, "ORDER BY part, notice_id") == [
        ("20240100001-000", 880_000.0, seoul(11, 10), 1),
        ("20240100001-000", 870_000.0, SECOND, 2),
        ("20240100002-000", 880_000.0, SECOND, 2),
    ]
    assert lake(market.home, "lake_bid_now", "amount", "ORDER BY ALL") == [(870_000.0,), (880_000.0,)]


def test_what_opened_between_two_ingests_is_known_at_its_opening(market):
    opened = raw_notice(2, opengdt="2024-01-13 11:00:00", bidclsedt="2024-01-13 10:00:00")
    first = [raw_notice(1), opened]
    market.ingest(FIRST, first, [raw_company()], [raw_bid(1, collected_at="2024-01-11 03:00:00")])
    bids = [raw_bid(1, collected_at="2024-01-11 03:00:00"), raw_bid(2, collected_at="2024-01-14 03:00:00")]
    assert market.ingest(SECOND, first, [raw_company()], bids)["bid"] == {"rows": 1, "new": 1}
    assert lake(market.home, "lake_bid", "known_at", "WHERE part = 2") == [(seoul(11, 13),)]


@pytest.mark.parametrize("opening", [30, 17])
def test_a_sealed_bid_is_known_at_the_opening_last_stated_before_it_came(market, opening):
    """Some tables hold bids before they are opened, and openings are put off, or brought forward."""
    planned = {"bidclsedt": "2024-01-20 10:00:00", "opengdt": "2024-01-20 11:00:00"}
    moved = {"bidclsedt": f"2024-01-{opening} 10:00:00", "opengdt": f"2024-01-{opening} 11:00:00"}
    market.ingest(FIRST, [raw_notice(**planned)], [raw_company()], [raw_bid()])
    market.ingest(SECOND, [raw_notice(**moved)], [raw_company()], [raw_bid()])
    assert lake(market.home, "lake_bid_stood", "known_at") == [(seoul(11, opening),)]
    after = datetime(2024, 2, 1, tzinfo=UTC)
    came = market.ingest(after, [raw_notice(**planned)], [raw_company()], [raw_bid()])
    assert not came["bid"]  # it came: what is said of it now is no news
    assert lake(market.home, "lake_bid_stood", "known_at") == [(seoul(11, opening),)]


def test_rows_that_came_into_the_tables_later_than_they_say_are_found_within_the_overlap(market):
    tables, before = ([raw_notice(1), raw_notice(2)], [raw_company()]), {"collected_at": "2024-01-11 03:00:00"}
    market.ingest(FIRST, *tables, [raw_bid(1, **before)])
    came = market.ingest(SECOND, *tables, [raw_bid(1, **before), raw_bid(2, **before)])
    assert came["bid"] == {"rows": 1, "new": 1, "late": 1}


def test_a_new_notice_a_re_notice_and_a_changed_one(market):
    open_ = {"bidclsedt": "2024-01-20 10:00:00", "opengdt": "2024-01-20 11:00:00"}
    bids = [raw_bid(1)]
    market.ingest(FIRST, [raw_notice(1), raw_notice(2, **open_)], [raw_company()], bids)
    again = raw_notice(1, "001", bidntcedt="2024-01-13 10:00:00", rgstdt="2024-01-13 10:00:00", **open_)
    changed = raw_notice(2, **open_ | {"bidclsedt": "2024-01-19 10:00:00"})  # without a word in chgdt
    unseen = raw_notice(3, **open_)  # dated before the first ingest, which did not get it
    came = market.ingest(SECOND, [raw_notice(1), changed, again, unseen], [raw_company()], bids)
    assert came["notice"] == {"rows": 3, "new": 2, "late": 1, "changed": 1}
    facts = "notice_id, published_at, known_at, closes_at"
    assert lake(market.home, "lake_notice", facts, "WHERE part = 2 ORDER BY ALL") == [
        ("20240100001-001", seoul(10, 13), seoul(10, 13), seoul(10, 20)),
        ("20240100002-000", seoul(10, 2, 5), SECOND, seoul(10, 19)),
        ("20240100003-000", seoul(10, 2, 5), SECOND, seoul(10, 20)),
    ]
    assert len(lake(market.home, "lake_notice_now")) == 4


@pytest.mark.parametrize("own_notice", [True, False])
def test_a_cancelled_notice_is_withdrawn_from_its_cancellation_on(market, own_notice):
    open_ = raw_notice(1, bidclsedt="2024-01-20 10:00:00", opengdt="2024-01-20 11:00:00")
    market.ingest(FIRST, [open_, raw_notice(2)], [raw_company()], [raw_bid(2)])
    if own_notice:
        dated = {"bidntcedt": "2024-01-14 10:00:00", "rgstdt": "2024-01-14 10:00:00"}
        later = [open_, open_ | {"bidntceord": "001", "ntcekindnm": "취소공고"} | dated]
    else:
        later = [open_ | {"ntcekindnm": "취소공고", "chgdt": "2024-01-14 10:00:00"}]
    came = market.ingest(SECOND, [*later, raw_notice(2)], [raw_company()], [raw_bid(2)])
    assert came["notice"].get("withdrawn") == 1
    withdrawn = lake(market.home, "lake_notice_now", "withdrawn_at, known_at", "WHERE notice_id = '20240100001-000'")
    assert withdrawn == [(seoul(10, 14), SECOND)]
    assert lake(market.home, "lake_notice_now", "withdrawn_at", "WHERE notice_id = '20240100002-000'") == [(None,)]


def test_a_company_gets_a_version_from_its_change_on_or_else_from_when_it_came(market):
    bids = [raw_bid()]
    seen, again = {"collected_at": "2024-01-11 03:00:00"}, {"collected_at": "2024-01-14 03:00:00"}
    first = [raw_company(1, **seen), raw_company(2, chgdt="2024-01-08 09:00:00", **seen)]
    market.ingest(FIRST, [raw_notice()], first, bids)
    dated = raw_company(1, rgnnm="부산광역시", chgdt="2024-01-13 09:00:00", **again)
    undated = raw_company(2, rgnnm="대구광역시", chgdt="2024-01-08 09:00:00", **again)
    came = market.ingest(SECOND, [raw_notice()], [dated, undated, raw_company(3, **again)], bids)
    assert came["company"] == {"rows": 3, "new": 1, "late": 1, "changed": 2}
    versions = lake(market.home, "lake_company", "company_id, region, known_at", "WHERE part = 2 ORDER BY company_id")
    assert versions == [
        ("0123456701", "부산광역시", seoul(9, 13)),
        ("0123456702", "대구광역시", SECOND),
        ("0123456703", "경기도", SECOND),
    ]


def test_without_news_the_manifest_stays_and_what_comes_after_that_is_late(market):
    tables = ([raw_notice(1), raw_notice(2)], [raw_company()])
    market.ingest(FIRST, *tables, [raw_bid(1)])
    manifest = (market.home / "lake" / "manifest.json").read_bytes()
    market.ingest(SECOND, *tables, [raw_bid(1)])
    assert (market.home / "lake" / "manifest.json").read_bytes() == manifest
    third = datetime(2024, 1, 16, tzinfo=UTC)
    opened = raw_notice(2, opengdt="2024-01-14 11:00:00", bidclsedt="2024-01-14 10:00:00")
    market.ingest(third, [raw_notice(1), opened], [raw_company()], [raw_bid(1), raw_bid(2)])
    # Opened after the lake's last part, but the reading of the 15th, which found nothing, had not seen it.
    assert lake(market.home, "lake_bid", "known_at", "WHERE part = 2") == [(third,)]


@pytest.mark.parametrize("given_still", [True, False], ids=["given still", "deleted in the source"])
def test_an_erased_company_leaves_the_lake_for_good_whether_or_not_the_source_gives_it_still(market, given_still):
    other = {"bizno": "2222222222"}
    rows = [raw_company(), raw_company(**other)], [raw_bid(1), raw_bid(1, bidprccorpbizrno=other["bizno"])]
    market.ingest(FIRST, [raw_notice(1)], *rows)
    without = rows if given_still else ([rows[0][0]], [rows[1][0]])
    market.ingest(SECOND, [raw_notice(1), raw_notice(2)], *without)
    assert len(lake(market.home, "lake_bid")) == 2  # a row that is gone from the source stays
    erase_from_lake(Config(home=str(market.home)), {"company_id": {other["bizno"]}})
    late = [*without[1], raw_bid(2, bidprccorpbizrno=other["bizno"])] if given_still else [*without[1], raw_bid(2)]
    came = market.ingest(THIRD, [raw_notice(1), raw_notice(2)], without[0], late)
    assert came["bid"] == ({} if given_still else {"rows": 1, "new": 1, "late": 1})
    companies = "SELECT company_id FROM lake_company UNION ALL SELECT company_id FROM lake_bid"
    assert {company for (company,) in lake(market.home, f"({companies})")} == {raw_company()["bizno"]}


def tables_of(first: int) -> tuple[list[Row], list[Row], list[Row]]:
    """Notices, companies and a bid of a market, numbered from `first` on; all registered on the 8th of January."""
    numbers, registered = range(first, first + 25), "2024-01-08 10:05:00"
    notices = [raw_notice(number, rgstdt=registered, bidntcedt=registered) for number in numbers]
    return notices, [raw_company(number, rgstdt=registered) for number in numbers], [raw_bid(first, by=first)]


def test_the_tables_of_another_market_are_refused_and_the_lake_stays_as_it_was(market):
    market.ingest(FIRST, *tables_of(1))
    there = lake(market.home, "lake_notice", "notice_id, part", "ORDER BY ALL")
    with pytest.raises(ContractError, match=r"25 of the lake's 25 ids.* are given no more, and 25 others.* as old are"):
        market.ingest(SECOND, *tables_of(51))
    assert lake(market.home, "lake_notice", "notice_id, part", "ORDER BY ALL") == there
    both = [mine + others for mine, others in zip(tables_of(1), tables_of(51), strict=True)]
    assert market.ingest(THIRD, *both)["company"] == {"rows": 25, "new": 25, "late": 25}
