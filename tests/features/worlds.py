"""Small markets that are told ingest by ingest, and what a company's versions are in them, recounted in plain Python.

Times tie, windows are hit from both sides, notices and bids come late, are corrected, or are stated for the future and
restated before it comes or after; some readings bring nothing.
"""

import math
import re
import statistics
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from bidrec.lake.parts import add_reading, newest_reading
from bidrec.storage.sealed import read_manifest
from tests import tables
from tests.features.lakes import add_part, write_lake

START = datetime(2020, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
# Ties, and the edges of the windows from both sides.
OFFSETS = [timedelta(days=days) + timedelta(microseconds=step) for days in (0, 1, 30, 90, 365) for step in (-1, 0, 1)]
moments = st.builds(lambda a, b: START + timedelta(days=2) + a + b, st.sampled_from(OFFSETS), st.sampled_from(OFFSETS))
TITLES = [None, "Road works, phase 2", "road at Kullu", "서울 도로포장 works", "12 34"]


@dataclass
class Ingest:
    read_at: datetime
    notice: list[dict[str, Any]] = field(default_factory=list)
    bid: list[dict[str, Any]] = field(default_factory=list)


def write(home: Path, world: list[Ingest], upto: int) -> None:
    """Bring the home's lake from where it is to the first `upto` ingests of the world."""
    before = read_manifest(home / "lake")
    read_until = before and datetime.fromisoformat(newest_reading(home, before)["read_at"])
    for ingest in world[:upto]:
        if read_until is None or ingest.read_at > read_until:
            _write(home, ingest)


def _write(home: Path, ingest: Ingest) -> None:
    before, read_at = read_manifest(home / "lake"), ingest.read_at.isoformat()
    if before and not ingest.notice and not ingest.bid:
        add_reading(home, before, read_at=read_at, inputs=None)
        return
    reads, number = (before["ingests"], before["ingest"] + 1) if before else ([], 1)
    facts = {"read_at": read_at, "ingests": [*reads, {"ingest": number, "read_at": read_at}]}
    if before:
        add_part(home, facts, notice=ingest.notice, bid=ingest.bid)
    else:
        write_lake(home, ingest.notice, (), ingest.bid, **facts)


@st.composite
def worlds(draw: st.DrawFn) -> list[Ingest]:
    """One to four ingests of up to eight notices with bids of three companies."""
    reads = sorted({draw(moments) for _ in range(draw(st.integers(1, 4)))})
    world = [Ingest(read_at) for read_at in reads]
    for number in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, len(world) - 1))
        published = START + draw(st.sampled_from([timedelta(0), DAY, 40 * DAY]))
        notice = tables.notice(
            number,
            published_at=published,
            known_at=told_at(world, at, published),
            buyer_id=draw(st.sampled_from([None, "b1", "b2"])),
            place=draw(st.sampled_from([None, "p1", "p2"])),
            category=draw(st.sampled_from([None, "k1"])),
            title=draw(st.sampled_from(TITLES)),
            value=draw(st.sampled_from([None, 0.0, 12.5, 1e9])),
        )
        world[at].notice.append(notice)
        held = notice
        for part in sorted(draw(st.sets(st.integers(at + 1, len(world)), max_size=2)) - {len(world)}):
            held = (
                notice
                | {"title": draw(st.sampled_from(TITLES)), "withdrawn_at": world[part].read_at}
                | {"known_at": told_at(world, part, published, held)}
            )
            world[part].notice.append(held)
        for company in draw(st.sets(st.integers(0, 2))):
            bid = None
            for part in sorted(draw(st.sets(st.integers(at, len(world) - 1), min_size=1))):
                stated = max(draw(moments), published, notice["known_at"] if part == at else START)
                won = draw(st.sampled_from([None, True, False]))
                known_at = told_at(world, part, stated, bid)
                bid = tables.bid(number, company, event_at=START, known_at=known_at, won=won)
                bid["decided_at"] = draw(st.one_of(st.none(), moments))
                world[part].bid.append(bid)
    return world


def told_at(world: list[Ingest], at: int, stated: datetime, held: dict[str, Any] | None = None) -> datetime:
    """When a row of an ingest was known; held: the one that it takes the place of.

    The first ingest takes times as stated, a later one as it heard of them: what came late was not known before, and
    what became known is not corrected before the correction came, unless it states a later moment itself.
    """
    since = [world[at - 1].read_at] if at else []
    if held and held["known_at"] <= world[at].read_at:
        since.append(held["known_at"])
    return stated if all(stated > moment for moment in since) else world[at].read_at


def stood(world: list[Ingest], story: list[tuple[int, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Of (ingest, row) of one key, in turn, the rows that anybody was told by the last ingest.

    Each has until the reading that replaces it to come true.
    """
    told = []
    for (_, row), (by, after) in pairwise([*story, (len(world) - 1, None)]):
        for said in _told_of(row):
            if said["known_at"] <= world[by].read_at and (after is None or said["known_at"] < after["known_at"]):
                told.append(said)
    return told


def _told_of(row: dict[str, Any]) -> list[dict[str, Any]]:
    """What a row says, in turn: of a bid that was decided after it became known, first that it is not decided."""
    decided_at = row.get("decided_at")
    if decided_at is None or decided_at <= row["known_at"]:
        return [row]
    return [row | {"won": None}, row | {"known_at": decided_at}]


@dataclass
class Fact:
    """A bid and what was said of its outcome, in turn: (known_at, won)."""

    notice: dict[str, Any]
    company: str
    told: list[tuple[datetime, bool | None]]

    @property
    def known_at(self) -> datetime:
        return self.told[0][0]

    def won(self, as_of: datetime) -> bool | None:
        return [won for known_at, won in self.told if known_at <= as_of][-1]


def facts_of(world: list[Ingest]) -> list[Fact]:
    """All bids known by the last ingest, each on the notice as it was published."""
    notices = {rows[0]["notice_id"]: rows[0] for rows in notices_of(world)}
    facts = []
    for story in _stories(world, "bid", "notice_id", "company_id"):
        told = [(bid["known_at"], bid["won"]) for bid in stood(world, story)]
        if told:
            bid = story[0][1]
            facts.append(Fact(notices[bid["notice_id"]], bid["company_id"], told))
    return sorted(facts, key=lambda fact: (fact.known_at, fact.notice["published_at"], fact.notice["notice_id"]))


def notices_of(world: list[Ingest]) -> list[list[dict[str, Any]]]:
    """Of each notice known by the last ingest, what it was at its publication, and what was said of it later."""
    found = (stood(world, story) for story in _stories(world, "notice", "notice_id"))
    return [rows for rows in found if rows]


def _stories(world: list[Ingest], table: str, *key: str) -> list[list[tuple[int, dict[str, Any]]]]:
    """Of each key, (ingest, row) in turn."""
    found: dict[tuple[str, ...], list[tuple[int, dict[str, Any]]]] = {}
    for at, ingest in enumerate(world):
        for row in getattr(ingest, table):
            found.setdefault(tuple(row[name] for name in key), []).append((at, row))
    return list(found.values())


def versions_of(facts: list[Fact]) -> list[tuple[str, datetime]]:
    """(company, moment) at which a bid became known or an outcome was stated otherwise than before."""
    found = set()
    for fact in facts:
        before = [None, *(won for _, won in fact.told)]
        for number, (known_at, won) in enumerate(fact.told):
            if number == 0 or won != before[number]:
                found.add((fact.company, known_at))
    return sorted(found)


def recount(facts: list[Fact], company: str, as_of: datetime) -> dict[str, Any]:
    """The numbers of a version from nothing but what was known by then."""
    known = [fact for fact in facts if fact.company == company and fact.known_at <= as_of]
    ages = [(as_of - fact.known_at) / DAY for fact in known]
    outcomes = [fact.won(as_of) for fact in known if fact.won(as_of) is not None]
    values = [round(math.log(1 + fact.notice["value"]), 4) for fact in known if fact.notice["value"] is not None]
    gaps = [older - newer for older, newer in pairwise(ages)]
    stated = {name: {fact.notice[name] for fact in known} - {None} for name in ("buyer_id", "place")}
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
        "distinct_buyers": len(stated["buyer_id"]),
        "distinct_places": len(stated["place"]),
        "days_since_first_bid": pytest.approx(max(ages)),
        "mean_gap_days": pytest.approx(statistics.fmean(gaps), abs=1e-9) if gaps else None,
        "last_bid_at": known[-1].known_at,
        "version_at": as_of,
        "history_length": len(known),
    }


def lists_of(facts: list[Fact], company: str, as_of: datetime) -> dict[str, Any]:
    """The lists of a version, likewise."""
    newest = [fact for fact in reversed(facts) if fact.company == company and fact.known_at <= as_of]
    last = newest[:10]

    def column(name: str) -> list[Any]:
        return [fact.notice[name] for fact in last if fact.notice.get(name) is not None]

    def age(fact: Fact) -> Any:
        return pytest.approx((as_of - fact.known_at) / DAY, abs=1e-4)

    rivals: Counter[str] = Counter()
    met: dict[str, int] = {}
    for depth, fact in enumerate(newest[:20]):
        field_then = [one for one in facts if one.notice is fact.notice and one.known_at <= fact.known_at]
        for one in field_then if len(field_then) <= 20 else []:
            if one.company != company:
                rivals[one.company] += 1
                met.setdefault(one.company, depth)
    ranked = sorted((one for one in rivals if rivals[one] > 1), key=lambda one: (-rivals[one], met[one], one))[:10]
    terms: dict[str, tuple[int, int]] = {}
    for depth, fact in enumerate(newest[:4]):
        for word in re.findall(r"[^\W\d_]\w+", (fact.notice.get("title") or "").lower())[:8]:
            depth_of, count = terms.get(word, (depth, 0))
            terms[word] = (depth_of, count + 1)
    words = sorted(terms, key=lambda word: (terms[word][0], -terms[word][1], word))[:20]
    wins = _wins(facts, company, as_of)
    return {
        "company_id": company,
        "known_at": as_of,
        "last_notices": column("notice_id"),
        "last_ages": [age(fact) for fact in last],
        "last_buyers": column("buyer_id"),
        "last_places": column("place"),
        "last_categories": column("category"),
        "last_value_bands": [_band(value) for value in column("value")],
        "last_terms": words,
        "term_ages": [age(newest[terms[word][0]]) for word in words],
        "rivals": ranked,
        "rival_meetings": [rivals[one] for one in ranked],
        "won_buyers": [buyer for buyer, _ in wins],
        "won_buyer_wins": [number for _, number in wins],
    }


def _band(value: float) -> str:
    return str(math.floor(2 * math.log2(value))) if value else "zero"


def _wins(facts: list[Fact], company: str, as_of: datetime) -> list[tuple[str, int]]:
    """Buyers by the wins among the last twenty turns in which the company was found to have won, or not after all."""
    turns = []
    for fact in (one for one in facts if one.company == company and one.notice["buyer_id"] is not None):
        before = False
        for number, (known_at, won) in enumerate(fact.told):
            # Of one moment: in the order of the log, a bid before a correction of the same notice.
            if bool(won) != before and known_at <= as_of:
                turns.append(
                    ((known_at, fact.notice["published_at"], fact.notice["notice_id"], number), fact, bool(won))
                )
            before = bool(won)
    turns.sort(key=lambda turn: turn[0])
    counts: Counter[str] = Counter()
    newest: dict[str, int] = {}
    for depth, (_, fact, won) in enumerate(reversed(turns[-20:])):
        counts[fact.notice["buyer_id"]] += 1 if won else -1
        newest.setdefault(fact.notice["buyer_id"], depth)
    found = sorted((buyer for buyer in counts if counts[buyer] > 0), key=lambda b: (-counts[b], newest[b], b))
    return [(buyer, counts[buyer]) for buyer in found[:10]]
