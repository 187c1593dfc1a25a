import tempfile
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from bidrec.config import Config
from bidrec.features.build import EVENT_TIMES, build_features
from tests import tables
from tests.features.lakes import read, write_lake
from tests.features.worlds import (
    START,
    Ingest,
    facts_of,
    lists_of,
    moments,
    notices_of,
    recount,
    versions_of,
    worlds,
    write,
)

MINUTE = timedelta(minutes=1)
few = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
KEYS = {
    "notice": "published_at, notice_id",
    "notice_status": "notice_id, known_at",
    "bid_log": "company_id, known_at, notice_id",
}


def build(home, world, upto=None):
    write(home, world, upto or len(world))
    build_features(Config(home=str(home)))


def rows_of(home, table):
    key = KEYS.get(table, "company_id, known_at")
    if table == "company_state":  # a company's newest row is all that is ever read
        return read(
            home, table, "QUALIFY row_number() OVER (PARTITION BY company_id ORDER BY known_at DESC) = 1 ORDER BY 1"
        )
    return read(home, table, f"ORDER BY {key}")


@few
@given(worlds())
def test_day_by_day_or_at_once_every_row_equals_a_recount_of_what_was_known_by_then(world):
    facts = facts_of(world)
    versions = versions_of(facts)
    with tempfile.TemporaryDirectory() as day_by_day, tempfile.TemporaryDirectory() as at_once:
        for upto in range(1, len(world) + 1):
            build(Path(day_by_day), world, upto)
        build(Path(at_once), world)
        for table in EVENT_TIMES:
            assert rows_of(Path(day_by_day), table) == rows_of(Path(at_once), table), table
        activity, history = (read(Path(at_once), table) for table in ("company_activity", "company_history"))
        log, notices = read(Path(at_once), "bid_log"), read(Path(at_once), "notice", "ORDER BY notice_id")
        status = read(Path(at_once), "notice_status", "ORDER BY notice_id, known_at")
    assert [(row["company_id"], row["known_at"]) for row in activity] == versions
    assert activity == [recount(facts, *version) for version in versions]
    assert history == [lists_of(facts, *version) for version in versions]
    published = notices_of(world)
    assert [(row["notice_id"], row["title"]) for row in notices] == sorted(
        (rows[0]["notice_id"], rows[0]["title"]) for rows in published
    )
    assert [(row["notice_id"], row["known_at"], row["withdrawn_at"]) for row in status] == sorted(
        (row["notice_id"], row["known_at"], row.get("withdrawn_at")) for rows in published for row in rows
    )
    in_order = sorted(facts, key=lambda fact: fact.company)
    assert [(bid["company_id"], bid["notice_id"], bid["known_at"], bid["won"]) for bid in log] == [
        (fact.company, fact.notice["notice_id"], fact.known_at, fact.told[0][1]) for fact in in_order
    ]


@few
@given(worlds(), moments)
def test_what_becomes_known_after_a_version_changes_nothing_of_it(world, as_of):
    first = world[0]
    undecided = {"won": None, "decided_at": None}
    less = replace(
        first,
        bid=[
            row | (undecided if row["decided_at"] and row["decided_at"] > as_of else {})
            for row in first.bid
            if row["known_at"] <= as_of
        ],
    )
    with tempfile.TemporaryDirectory() as everything, tempfile.TemporaryDirectory() as until_then:
        build(Path(everything), [first])
        build(Path(until_then), [less])
        for table in ("company_activity", "company_history"):
            known = [row for row in read(Path(everything), table) if row["known_at"] <= as_of]
            assert known == read(Path(until_then), table)


def test_a_company_keeps_its_last_ten_bids_newest_first_and_as_many_as_its_windows_need(home):
    notices = [tables.notice(number) for number in range(30)]
    write_lake(home, notice=notices, bid=[tables.bid(of=number) for number in range(30)])
    build_features(Config(home=str(home)))
    assert read(home, "company_history")[-1]["last_notices"] == [f"n{number}" for number in range(29, 19, -1)]
    assert read(home, "company_activity")[-1]["bids_all"] == 30
    assert len(read(home, "company_state")[-1]["notices"]) == 30


@pytest.mark.parametrize(("bidders", "rivals"), [(20, 10), (21, 0)])
def test_where_more_than_twenty_bid_nobody_is_a_rival(home, bidders, rivals):
    notices = [tables.notice(number) for number in range(4)]
    crowd = [tables.bid(of, by) for of in (0, 1) for by in range(bidders)]
    write_lake(home, notice=notices, bid=[*crowd, *(tables.bid(of, by) for of in (2, 3) for by in (0, 1))])
    build_features(Config(home=str(home)))
    newest = {row["company_id"]: row["rivals"] for row in read(home, "company_history", "ORDER BY known_at")}
    assert (newest["c0"][0], newest["c1"][0], len(newest["c2"])) == ("c1", "c0", rivals)


def test_lists_end_where_they_say_whatever_there_is_more_of(tmp_path):
    """13 companies bid on each of 24 notices and win them all: more rivals, buyers, words and turns than any list has.

    The titles of the first 12 notices have four words each, so that those of the fourth bid back still find room.
    """
    notices = [
        tables.notice(
            number,
            known_at=tables.notice(number)["published_at"],
            buyer_id=f"b{number % 12}",
            title=" ".join(f"{letter}{number}" for letter in "abcdefghij"[: 4 if number < 12 else 10]),
        )
        for number in range(24)
    ]
    bids = [tables.bid(of, by, won=True) for of in range(24) for by in range(13)]
    world = [Ingest(tables.NOW, notices, bids)]
    build(tmp_path, world)
    facts = facts_of(world)
    found = read(tmp_path, "company_history", "ORDER BY company_id, known_at")
    assert found == [lists_of(facts, *version) for version in versions_of(facts)]
    newest = found[-1]
    full = {name: len(newest[name]) for name in ("last_notices", "rivals", "won_buyers", "last_terms")}
    assert full == {"last_notices": 10, "rivals": 10, "won_buyers": 10, "last_terms": 20}


def test_working_on_few_companies_at_a_time_changes_no_row(home):
    notices = [tables.notice(number) for number in range(9)]
    write_lake(home, notice=notices, bid=[tables.bid(n, by) for n in range(9) for by in range(7) if (n + by) % 3])
    build_features(Config(home=str(home)))
    whole = {table: read(home, table) for table in EVENT_TIMES}
    build_features(Config(home=str(home)), run_rows=5)
    assert {table: read(home, table) for table in EVENT_TIMES} == whole


def test_the_lists_of_a_company_that_bids_on_everything_are_made_a_stretch_of_versions_at_a_time(home):
    """As many rows as are worked on at a time become a row group of their own."""
    notices = [tables.notice(number) for number in range(60)]
    write_lake(home, notice=notices, bid=[tables.bid(n, by) for n in range(60) for by in (0, 1 + n % 2, 3 + n % 5)])
    build_features(Config(home=str(home)))
    whole = {table: read(home, table) for table in EVENT_TIMES}
    build_features(Config(home=str(home)), run_rows=10)
    assert {table: read(home, table) for table in EVENT_TIMES} == whole
    (file,) = (home / "features" / "company_history").glob("*.parquet")
    metadata = pq.ParquetFile(file).metadata
    assert max(metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)) < 20


def test_a_long_history_told_in_many_ingests_is_the_one_told_at_once(tmp_path):
    """Longer than any list or window looks back: four companies, 70 notices thirty days apart, lost in turn.

    A year holds fewer bids than the lists look back over, so that the state has to keep those for the lists too.
    """
    moments = [START + 30 * number * tables.DAY for number in range(71)]
    notices = [
        tables.notice(n, published_at=at - MINUTE, known_at=at - MINUTE, buyer_id=f"b{n % 3}", place=f"p{n % 5}")
        for n, at in enumerate(moments[:-1])
    ]
    bids = [
        [tables.bid(n, by, known_at=at, event_at=at, won=n % 4 != by) for by in range(4) if (n + by) % 3]
        for n, at in enumerate(moments[:-1])
    ]
    ends = [0, 30, 31, 55, 70]
    world = [
        Ingest(moments[end] - tables.HOUR, notices[first:end], [bid for row in bids[first:end] for bid in row])
        for first, end in pairwise(ends)
    ]
    # Before any new bid of that ingest: a version that looks back on nothing but what the state has kept.
    corrected = bids[20][0] | {"known_at": moments[31] - MINUTE, "won": not bids[20][0]["won"]}
    world[-2].bid.append(corrected)
    for upto in range(1, len(world) + 1):
        build(tmp_path / "many", world, upto)
    build(tmp_path / "one", world)
    for table in EVENT_TIMES:
        assert rows_of(tmp_path / "many", table) == rows_of(tmp_path / "one", table), table
    facts = facts_of(world)
    history = read(tmp_path / "one", "company_history", "ORDER BY company_id, known_at")
    assert history == [lists_of(facts, *version) for version in versions_of(facts)]
