"""Random sources, read again and again: what the features say as of a moment is what could be told at it, for ever.

The oracle looks at the source's states alone. Whoever asks at T is told what the last reading by T says is known by
then; and of what the reading after T brings for the first time, what that says became known between the two. Rows are
stated for the future, and corrected before and after it comes; rows come late; some readings bring nothing, of files
that were written anew or left alone.
"""

import random
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bidrec.config import Config, Contract, Source
from bidrec.features.build import EVENT_TIMES, build_features
from bidrec.lake.ingest import ingest
from tests.features.lakes import read
from tests.tables import DAY, NOW, bid, company, notice, write_source

Key = str
State = dict[str, dict[Key, Any]]
"""Table -> key -> its row; of a company, its versions."""

READS = [NOW + days * DAY for days in (0, 2, 3, 6, 7, 11)]
SAME = {2: "written anew", 4: "left alone"}
"""Readings that find what the one before found: of files that were written anew, or that nobody touched."""
MICROSECOND = timedelta(microseconds=1)
SEVERAL = 150
"""Notices, each with a bid; and companies that do not bid, whose versions change."""
BIDDERS = 12


def moment(draw: random.Random) -> datetime:
    """Before the first reading, between two, after the last, or the very moment of one."""
    return draw.choice([*READS, NOW + draw.randint(-20, 16 * 4) * DAY / 4])


def states(draw: random.Random) -> list[State]:
    """What the source says at each reading."""
    found: list[State] = []
    plans = [(draw.choice([0, 0, 0, 1, 3, 5]), moment(draw), draw.choice([0, 0, 1, 3])) for _ in range(SEVERAL)]
    for reading, read_at in enumerate(READS):
        if reading in SAME:
            found.append(found[-1])
            continue
        state: State = {name: dict(found[-1][name]) if found else {} for name in ("notice", "bid", "company")}
        for number, (first, published, wait) in enumerate(plans):
            if first > reading or (first < reading and draw.random() < 0.6):
                continue
            state["notice"][f"n{number}"] = notice(
                number,
                published_at=published,
                title=draw.choice(["Road", "Bridge", "School"]),
                closes_at=published + draw.choice([20, 30, 40]) * DAY,
                opened_at=None,
            )
            if draw.random() < 0.7:
                opening = published + wait * DAY
                before = state["bid"].get(f"n{number}")
                if before:  # its opening is moved, or not, until it has come
                    moved = published + draw.choice([wait, wait, 0, 1, 3]) * DAY
                    opening = moved if before["known_at"] > read_at else before["known_at"]
                row = bid(number, number % BIDDERS, event_at=published, known_at=opening)
                state["bid"][f"n{number}"] = row | {"won": draw.choice([None, True, False])}
        for number in range(SEVERAL):
            versions = dict(state["company"].get(f"c{number}", {NOW - 30 * DAY: "North"}))
            if not found or draw.random() < 0.5:
                for _ in range(draw.choice([0, 0, 1, 3])):
                    versions[moment(draw)] = draw.choice(["North", "South", "West"])
                for known_at in list(versions)[1:]:
                    if known_at > read_at and draw.random() < 0.3:
                        del versions[known_at]
            state["company"][f"c{number}"] = versions
        found.append(state)
    return found


def take(home: Path, reading: int, state: State) -> None:
    """Ingest the state, and bring the features up to it."""
    if SAME.get(reading) != "left alone":
        versions = [
            company(int(key[1:]), known_at=known_at, region=region)
            for key, given in state["company"].items()
            for known_at, region in given.items()
        ]
        write_source(
            home / "source", notice=[*state["notice"].values()], company=versions, bid=[*state["bid"].values()]
        )
    source = Source(name=str(home / "source"), path=str(home / "source"), url="")
    config = Config(home=str(home), source=source, contract=Contract(max_bad_share=0.0))
    ingest(config, now=READS[reading])
    build_features(config)


def told(story: list[State], table: str, key: Key, at: datetime) -> dict[str, Any] | None:
    """The row of a notice, or of a bid, that could be told; None: nothing of it was known."""
    known = "published_at" if table == "notice" else "known_at"
    last = sum(read_at <= at for read_at in READS) - 1
    if last >= 0 and key in story[last][table]:
        row = story[last][table][key]
        return row if row[known] <= at else None
    row = story[last + 1][table].get(key) if last + 1 < len(story) else None
    between = row is not None and row[known] <= at and (last < 0 or row[known] > READS[last])
    return row if between else None


def told_region(story: list[State], key: Key, at: datetime) -> str | None:
    """The region of the company's version that could be told."""
    last = sum(read_at <= at for read_at in READS) - 1
    held = story[last]["company"][key] if last >= 0 else {}
    there = [known_at for known_at in held if known_at <= at]
    if last + 1 < len(story):
        next_ = story[last + 1]["company"][key]
        since = max([READS[last], *(known_at for known_at in held if known_at <= READS[last + 1])]) if held else None
        new = [known_at for known_at in next_ if known_at <= at and (since is None or known_at > since)]
        if new:
            return str(next_[max(new)])
    return held[max(there)] if there else None


def as_of(rows: list[dict[str, Any]], at: datetime, column: str) -> Any:
    known = [row for row in rows if row["known_at"] <= at]
    return max(known, key=lambda row: row["known_at"])[column] if known else None


def by_key(home: Path, table: str, key: str) -> dict[Key, list[dict[str, Any]]]:
    found: dict[Key, list[dict[str, Any]]] = {}
    for row in read(home, table):
        found.setdefault(row[key], []).append(row)
    return found


def moments(story: list[State], until: datetime) -> list[datetime]:
    """Every moment at which something may change, and those beside it, up to `until`."""
    stated = {row["published_at"] for state in story for row in state["notice"].values()}
    stated |= {row["known_at"] for state in story for row in state["bid"].values()}
    stated |= {known_at for state in story for versions in state["company"].values() for known_at in versions}
    near = {time + step for time in {*stated, *READS} for step in (-MICROSECOND, timedelta(0), MICROSECOND)}
    return sorted(time for time in near if time <= until)


def assert_told(home: Path, story: list[State], until: datetime) -> None:
    """The features say of every moment up to `until` what could be told at it."""
    times = moments(story, until)
    published = {row["notice_id"]: row for row in read(home, "notice")}
    status, log = by_key(home, "notice_status", "notice_id"), by_key(home, "bid_log", "notice_id")
    profile, activity = by_key(home, "company_profile", "company_id"), by_key(home, "company_activity", "company_id")
    for key in {key for state in story for key in state["notice"]}:
        notices = [told(story, "notice", key, at) for at in times]
        assert [as_of(status.get(key, []), at, "closes_at") for at in times] == [
            row and row["closes_at"] for row in notices
        ], key
        first = next((row for row in notices if row), None)
        assert (published.get(key) or {}).get("title") == (first and first["title"]), key
        bids = [told(story, "bid", key, at) for at in times]
        at_first = next(((row["won"], at) for row, at in zip(bids, times, strict=True) if row), None)
        assert [(row["won"], row["known_at"]) for row in log.get(key, [])] == ([at_first] if at_first else []), key
    for number in range(BIDDERS):
        own = [f"n{of}" for of in range(number, SEVERAL, BIDDERS)]
        wins = [sum((told(story, "bid", key, at) or {}).get("won") is True for key in own) for at in times]
        assert [as_of(activity.get(f"c{number}", []), at, "wins_all") or 0 for at in times] == wins, number
    for number in range(SEVERAL):
        regions = [told_region(story, f"c{number}", at) for at in times]
        assert [as_of(profile.get(f"c{number}", []), at, "region") for at in times] == regions, number


def test_the_features_say_of_every_moment_what_could_be_told_at_it_and_never_say_otherwise_later(tmp_path):
    story = states(random.Random(5))
    home, at_once = tmp_path / "home", tmp_path / "at once"
    for reading, state in enumerate(story):
        take(home, reading, state)
        assert_told(home, story[: reading + 1], READS[reading])
    shutil.copytree(home, at_once, ignore=shutil.ignore_patterns("features"))
    build_features(Config(home=str(at_once)))
    for table in EVENT_TIMES:
        if table != "company_state":
            order = f"ORDER BY COLUMNS('company_id|notice_id'), {EVENT_TIMES[table]}"
            assert read(home, table, order) == read(at_once, table, order), table


def test_a_bid_on_a_notice_that_was_put_off_past_the_opening_tells_nothing_of_the_notice(tmp_path):
    """Both are stated for the future. Then the notice is put off; of the bid nothing more is said, and so it stays."""
    first = notice(1, published_at=NOW - 9 * DAY, closes_at=None, opened_at=None)
    opened = bid(1, event_at=NOW - DAY, known_at=NOW - DAY)
    coming = notice(2, published_at=NOW + 2 * DAY, closes_at=None, opened_at=None, buyer_id="b", value=9e9)
    early = bid(2, event_at=NOW + 3 * DAY, known_at=NOW + 3 * DAY)
    source = {"notice": [first, coming], "company": [company()], "bid": [opened, early]}
    put_off = {**source, "notice": [first, coming | {"published_at": NOW + 8 * DAY}], "bid": [opened]}
    for home, days in ((tmp_path / "at once", [20]), (tmp_path / "day by day", [1, 5, 20])):
        for read_at, given in ((0, source), (1, put_off), (5, put_off), (20, put_off)):
            config = Config(home=str(home), source=write_source(home / "source", **given))
            ingest(config, now=NOW + read_at * DAY)
            if read_at in days:
                build_features(config)
        assert [(row["known_at"], row["bids_all"]) for row in read(home, "company_activity")] == [(NOW - DAY, 1)]
        assert [row["notice_id"] for row in read(home, "bid_log")] == ["n1"]
        assert sorted(row["notice_id"] for row in read(home, "notice")) == ["n1", "n2"]
