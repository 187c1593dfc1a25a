"""Ten thousand companies with random histories, told in four ingests: every version equals a recount in plain Python.

Times tie and stand a microsecond beside the windows' edges, in several zones and around their changes of the clock;
bids come late, are corrected, and come from a source whose clock runs ahead of the job's or behind it.
"""

import random
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from bidrec.config import Config
from bidrec.features.build import build_features
from tests import tables
from tests.features.lakes import read
from tests.features.worlds import DAY, OFFSETS, START, Ingest, facts_of, recount, told_at, versions_of, write

COMPANIES = 10_000
ZONES = [ZoneInfo(name) for name in ("UTC", "Asia/Seoul", "America/New_York", "Australia/Lord_Howe")]
CLOCK_CHANGES = [
    datetime(2020, 3, 8, 2, 30, tzinfo=ZoneInfo("America/New_York")),
    datetime(2020, 11, 1, 1, 30, fold=0, tzinfo=ZoneInfo("America/New_York")),
    datetime(2020, 11, 1, 1, 30, fold=1, tzinfo=ZoneInfo("America/New_York")),
]
SKEW = timedelta(minutes=10)


def moment(draw: random.Random) -> datetime:
    """UTC; one in ten is an hour that its zone has twice, or not at all."""
    if draw.random() < 0.1:
        return draw.choice(CLOCK_CHANGES).astimezone(UTC)
    return START + 2 * DAY + draw.choice(OFFSETS) + draw.choice(OFFSETS)


def in_zones(world: list[Ingest], draw: random.Random) -> list[Ingest]:
    """The same moments, each on the clock of some zone."""
    return [
        replace(one, bid=[bid | {"known_at": bid["known_at"].astimezone(draw.choice(ZONES))} for bid in one.bid])
        for one in world
    ]


def world_of(seed: int) -> list[Ingest]:
    """Bids on 400 notices; one in five is corrected later, one in ten stated by a clock ahead of the reading's."""
    draw = random.Random(seed)
    world = [Ingest(START + timedelta(days=days)) for days in (60, 150, 320, 900)]
    notices = [
        tables.notice(
            number,
            published_at=START + draw.choice([timedelta(0), DAY]),
            known_at=START + DAY,
            buyer_id=draw.choice([None, "b1", "b2", "b3"]),
            place=draw.choice([None, "p1", "p2"]),
            value=draw.choice([None, 0.0, 12.5, 1e9]),
        )
        for number in range(400)
    ]
    world[0].notice.extend(notices)
    for company in range(COMPANIES):
        for number in draw.sample(range(len(notices)), draw.randint(1, 4)):
            part = draw.randrange(len(world))
            stated = world[part].read_at + draw.choice([-SKEW, SKEW]) if draw.random() < 0.1 else moment(draw)
            bid = None
            for at in sorted({part, *([draw.randrange(part, len(world))] if draw.random() < 0.2 else [])}):
                won = draw.choice([None, True, False])
                known_at = told_at(world, at, stated, bid)
                bid = tables.bid(number, company, event_at=START, known_at=known_at, won=won)
                bid["decided_at"] = moment(draw) if draw.random() < 0.3 else None
                world[at].bid.append(bid)
    return world


def test_ten_thousand_random_histories_have_no_value_that_a_recount_does_not_give(home: Path) -> None:
    world = world_of(7)
    written = in_zones(world, random.Random(7))
    for upto in range(1, len(world) + 1):
        write(home, written, upto)
        build_features(Config(home=str(home)))
    facts = facts_of(world)
    by_company = defaultdict(list)
    for fact in facts:
        by_company[fact.company].append(fact)
    versions = versions_of(facts)
    found = read(home, "company_activity", "ORDER BY company_id, known_at")
    assert len(by_company) > 0.99 * COMPANIES
    assert [(row["company_id"], row["known_at"]) for row in found] == versions
    for row in found:
        assert row == recount(by_company[row["company_id"]], row["company_id"], row["known_at"])
