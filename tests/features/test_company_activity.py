import math
import statistics
import tempfile
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bidrec.config import Config
from bidrec.features.build import build_features
from tests import tables
from tests.features.lakes import read, write_lake

START = datetime(2020, 1, 1, tzinfo=UTC)
# Ties, and the edges of the windows from both sides.
OFFSETS = [timedelta(days=days) + timedelta(microseconds=step) for days in (0, 1, 30, 90, 365) for step in (-1, 0, 1)]
moments = st.builds(lambda a, b: START + timedelta(days=2) + a + b, st.sampled_from(OFFSETS), st.sampled_from(OFFSETS))
few = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def lakes(draw):
    """Notices with few distinct buyers, places and values, and bids of three companies on them."""
    notices, bids = [], []
    for number in range(draw(st.integers(1, 8))):
        opened = draw(moments)
        notice = tables.notice(
            number,
            published_at=START + draw(st.sampled_from([timedelta(0), timedelta(days=1)])),
            opened_at=opened,
            buyer_id=draw(st.sampled_from([None, "b1", "b2"])),
            place=draw(st.sampled_from([None, "p1", "p2"])),
            category=draw(st.sampled_from([None, "k1"])),
            value=draw(st.sampled_from([None, 0.0, 12.5, 1e9])),
        )
        notices.append(notice)
        for company in draw(st.sets(st.integers(0, 2))):
            corrected = draw(st.sampled_from([timedelta(0), timedelta(days=30)]))
            won = draw(st.sampled_from([None, True, False]))
            bids.append(tables.bid(number, company, event_at=START, known_at=opened + corrected, won=won))
    return notices, bids


def build(home, notices, bids, **options):
    write_lake(home, notice=notices, bid=bids)
    build_features(Config(home=str(home)), **options)
    return read(home, "company_activity"), read(home, "bid_log")


def recount(notices, bids, company, as_of):
    """The numbers of a version from nothing but the bids known by then."""
    by_id = {notice["notice_id"]: notice for notice in notices}
    known = [bid for bid in bids if bid["company_id"] == company and bid["known_at"] <= as_of]
    known.sort(key=lambda bid: (bid["known_at"], by_id[bid["notice_id"]]["published_at"], bid["notice_id"]))
    ages = [(as_of - bid["known_at"]) / timedelta(days=1) for bid in known]
    seen = [by_id[bid["notice_id"]] for bid in known]
    outcomes = [bid["won"] for bid in known if bid["won"] is not None]
    values = [round(math.log(1 + notice["value"]), 4) for notice in seen if notice["value"] is not None]
    gaps = [older - newer for older, newer in pairwise(ages)]

    def newest(column):
        return [notice[column] for notice in reversed(seen[-20:]) if notice[column] is not None]

    return {
        "company_id": company,
        "known_at": as_of,
        "bids_all": len(known),
        "bids_30d": sum(age <= 30 for age in ages),
        "bids_90d": sum(age <= 90 for age in ages),
        "bids_365d": sum(age <= 365 for age in ages),
        "decayed_bids": pytest.approx(sum(0.5 ** (age / 90) for age in ages), abs=1e-6),
        "wins_all": outcomes.count(True),
        "win_share": pytest.approx(outcomes.count(True) / len(outcomes)) if outcomes else None,
        "mean_log_value": pytest.approx(statistics.fmean(values)) if values else None,
        "std_log_value": pytest.approx(statistics.pstdev(values), abs=1e-9) if values else None,
        "distinct_buyers": len(set(newest("buyer_id"))),
        "distinct_places": len(set(newest("place"))),
        "days_since_first_bid": pytest.approx(max(ages)),
        "mean_gap_days": pytest.approx(statistics.fmean(gaps), abs=1e-9) if gaps else None,
        "last_bid_at": as_of,
        "version_at": as_of,
        "last_notices": newest("notice_id"),
        "last_buyers": newest("buyer_id"),
        "last_places": newest("place"),
        "last_categories": newest("category"),
    }


@few
@given(lakes())
def test_every_activity_number_equals_a_recount(lake):
    notices, bids = lake
    with tempfile.TemporaryDirectory() as folder:
        versions, log = build(Path(folder), notices, bids)
    moments_of = sorted({(bid["company_id"], bid["known_at"]) for bid in bids})
    assert [(version["company_id"], version["known_at"]) for version in versions] == moments_of
    for version in versions:
        history = log[version.pop("log_begin") : version.pop("log_end")]
        expected = recount(notices, bids, version["company_id"], version["known_at"])
        assert version == expected
        assert [bid["notice_id"] for bid in reversed(history)] == expected["last_notices"]
        assert {bid["company_id"] for bid in history} == {version["company_id"]}


@few
@given(lakes(), moments)
def test_a_bid_known_after_the_version_changes_no_feature(lake, as_of):
    notices, bids = lake
    known = [bid for bid in bids if bid["known_at"] <= as_of]
    with tempfile.TemporaryDirectory() as everything, tempfile.TemporaryDirectory() as until_then:
        all_versions, log = build(Path(everything), notices, bids)
        versions, log_then = build(Path(until_then), notices, known)
    seen = [version for version in all_versions if version["known_at"] <= as_of]
    for version in seen:
        version["history"] = log[version.pop("log_begin") : version.pop("log_end")]
    for version in versions:
        version["history"] = log_then[version.pop("log_begin") : version.pop("log_end")]
    assert seen == versions


def test_a_company_keeps_its_last_twenty_bids_newest_first(home):
    notices = [tables.notice(number) for number in range(30)]
    bids = [tables.bid(of=number) for number in range(30)]
    versions, _ = build(home, notices, bids)
    assert versions[-1]["last_notices"] == [f"n{number}" for number in range(29, 9, -1)]
    assert versions[-1]["bids_all"] == 30


def test_working_on_few_companies_at_a_time_changes_no_row(home):
    notices = [tables.notice(number) for number in range(9)]
    bids = [tables.bid(number, by) for number in range(9) for by in range(7) if (number + by) % 3]
    whole = build(home, notices, bids)
    assert build(home, notices, bids, run_rows=5, force=True) == whole
