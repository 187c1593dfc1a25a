"""Puts a simulated folder together, block by block.

Reads   nothing but its arguments
Writes  OUT/notice, OUT/company, OUT/bid (raw KONEPS tables, which the koneps source reads), OUT/oracle (the truth),
        OUT/manifest.json; whole or not at all

Memory holds the companies, their channels and one block of notices with its bids; never all notices.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.random import Generator, default_rng

from bidrec.errors import ConfigurationError
from bidrec.simulator import raw_tables
from bidrec.simulator.entities import Companies, Notices, again, fresh, join, make_companies, take
from bidrec.simulator.market import DAY, Block, World, blocks, day_weights, make_world, market, seconds
from bidrec.simulator.oracle import (
    FOLDER,
    NAMES,
    PROCESS,
    SIZE_TOLERANCE,
    SLACK,
    VERSION,
    WEIGHTS,
    Channel,
    draw_bids,
    make_channels,
    save_companies,
)
from bidrec.storage import sealed, whole
from bidrec.storage.home import require_replaceable

DEFAULT_END = datetime(2025, 6, 30, 18)
"""Seoul clock."""
DEFAULT_DAYS = 1096
PILOT_NOTICES = 20_000
MOST_DAYS = 40 * 366

Progress = Callable[[int, int, int], None]
"""Told (notices made, notices wanted, bids made) after each block."""


def simulate(
    out: Path,
    *,
    notices: int,
    companies: int,
    bids: int,
    seed: int = 7,
    days: int = DEFAULT_DAYS,
    end: datetime = DEFAULT_END,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write a folder of KONEPS dumps and the truth behind them; returns its manifest. Same arguments, same bytes.

    notices, companies: exact numbers of rows (re-notices included). bids: reached to within a few per cent.
    days: length of the data, which ends at `end` (Seoul clock); notices to be opened later are still open.
    An earlier simulation in `out` is replaced. Raises ConfigurationError (64) on numbers that make no world or where
    `out` holds anything else, CannotWrite (73).
    """
    require_possible(out, notices=notices, companies=companies, bids=bids, seed=seed, days=days)
    last = seconds(end)
    first = (last // DAY - days + 1) * DAY
    streams = [np.random.SeedSequence([seed, part]) for part in range(5)]
    world = make_world(market(), companies, default_rng(streams[0]))
    people = make_companies(world, companies, first, last, default_rng(streams[1]))
    channels = make_channels(people, world.district_province, len(world.market.topics), len(world.market.licences))
    plan = blocks(notices, days, last, default_rng(streams[2]))
    scale = _scale(world, people, channels, plan, bids / notices, last, streams[3])
    counted = Counter(notice=0, bid=0, open_notices=0, reissues=0)
    with whole.whole_folder(out) as folder:
        with whole.writing(out):
            for name in ("notice", "company", "bid", f"{FOLDER}/notice"):
                (folder / name).mkdir(parents=True)
            _save_people(folder, world, people, last, scale, default_rng([seed, 5]))
        for block, made, rng in _blocks(world, plan, last, scale, streams[4]):
            notice, company = _bids_on(made, world, people, channels, last, rng)
            with whole.writing(out):
                _write(folder / "notice", block, raw_tables.notice_table(world, made, rng))
                _write(folder / "bid", block, raw_tables.bid_table(made, people, notice, company, rng))
                _write(folder / FOLDER / "notice", block, pa.table({"notice_id": raw_tables.notice_ids(made), **made}))
            counted.update(_counts(made, notice, last))
            if progress:
                progress(counted["notice"], notices, counted["bid"])
        facts = {"kind": "simulated", "seed": seed, "zone": "Asia/Seoul", "end": end.isoformat(), "days": days}
        asked = {"notice": notices, "company": companies, "bid": bids}
        rows = {"notice": counted.pop("notice"), "company": companies, "bid": counted.pop("bid")}
        return sealed.write_manifest(folder, **facts, asked=asked, rows=rows, **counted)


def require_possible(
    out: Path, *, notices: int, companies: int, bids: int, seed: int, days: int = DEFAULT_DAYS
) -> None:
    """Raises ConfigurationError (64) where `simulate` would, before anything makes room for it."""
    require_replaceable(out, "simulated")
    wrong = [
        text
        for text, holds in (
            (f"notices {notices} must be at least 1", notices < 1),
            (f"companies {companies} must be between 1 and 100000000", not 1 <= companies <= 10**8),
            (f"bids {bids} must be at least 1", bids < 1),
            (f"bids {bids} are more than a tenth of all pairs", bids > notices * companies / 10),
            (f"seed {seed} must be at least 0", seed < 0),
            (f"days {days} must be between 1 and {MOST_DAYS}", not 1 <= days <= MOST_DAYS),
        )
        if holds
    ]
    if wrong:
        raise ConfigurationError("no such world can be simulated: " + "; ".join(wrong))


def _blocks(
    world: World, plan: list[Block], last: int, scale: float, stream: np.random.SeedSequence
) -> Iterator[tuple[Block, Notices, Generator]]:
    """Each block's notices: new ones, and those that failed before. A block has a random stream of its own."""
    waiting: Notices | None = None
    serial, month = 0, ""
    for block, own in zip(plan, stream.spawn(len(plan)), strict=True):
        rng = default_rng(own)
        serial = serial if block.month == month else 0
        month = block.month
        parts, per_day = [], block.per_day.copy()
        if waiting is not None:
            second = again(waiting, block.first, scale, rng)
            day = second["published"] // DAY - block.first
            due = (day < len(per_day)) & (second["published"] <= last)
            due[due] = _places(day[due], per_day)
            np.subtract.at(per_day, day[due], 1)
            parts.append(take(second, due))
            waiting = take(waiting, ~due)
        new = fresh(world, block, per_day, scale, rng)
        new["published"] = np.minimum(new["published"], last)
        new["serial"] = serial + 1 + np.arange(len(new["published"]))
        serial += len(new["published"])
        parts.append(new)
        made = join(*parts)
        failed = take(made, made["fails"] & (made["opened"] <= last))
        waiting = failed if waiting is None else join(waiting, failed)
        yield block, made, rng


def _bids_on(
    made: Notices, world: World, people: Companies, channels: list[Channel], last: int, rng: Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Who bids on which of these notices, as index pairs sorted by notice: on those that are opened by now."""
    opened = np.flatnonzero(made["opened"] <= last)
    notice, company = draw_bids(
        take(made, opened), people, channels, world.district_province, len(world.market.topics), rng
    )
    return opened[notice], company


def _counts(made: Notices, notice: np.ndarray, last: int) -> dict[str, int]:
    return {
        "notice": len(made["published"]),
        "bid": len(notice),
        "open_notices": int((made["closes"] > last).sum()),
        "reissues": int((made["reissue"] > 0).sum()),
    }


def _places(day: np.ndarray, per_day: np.ndarray) -> np.ndarray:
    """Which of the re-notices fit into their day: the number of notices a day stands."""
    order = np.argsort(day, kind="stable")
    place = np.empty(len(day), np.int64)
    place[order] = np.arange(len(day)) - np.searchsorted(day[order], day[order])
    return place < per_day[day]


def _scale(
    world: World,
    people: Companies,
    channels: list[Channel],
    plan: list[Block],
    wanted: float,
    last: int,
    stream: np.random.SeedSequence,
) -> float:
    """The mean keenness that gives `wanted` bids a notice, found on a pilot draw from the whole period."""
    dates = np.arange(plan[0].first, plan[-1].last + 1)
    weight = day_weights(dates)
    number = min(PILOT_NOTICES, 4 * sum(block.notices for block in plan) + 500)
    scale = wanted
    for own in stream.spawn(8):
        rng = default_rng(own)
        per_day = rng.multinomial(number, weight / weight.sum())
        whole = Block(number=0, month=plan[0].month, first=int(dates[0]), last=int(dates[-1]), per_day=per_day)
        pilot = fresh(world, whole, per_day, scale, rng)
        opened = take(pilot, pilot["opened"] <= last)
        notice, _ = draw_bids(opened, people, channels, world.district_province, len(world.market.topics), rng)
        scale *= float(np.clip(wanted * number / max(len(notice), 1), 0.1, 10))
    return scale


def _save_people(folder: Path, world: World, people: Companies, last: int, scale: float, rng: Generator) -> None:
    table = raw_tables.company_table(world, people, last, rng)
    pq.write_table(table, folder / "company" / "0000.parquet", compression="zstd")
    save_companies(folder / FOLDER, people)
    sealed.write_json(
        folder / FOLDER / PROCESS,
        {
            "version": VERSION,
            "formula": "bidrec.simulator",
            "channels": dict(zip(NAMES, WEIGHTS, strict=True)),
            "slack": SLACK,
            "size_tolerance": SIZE_TOLERANCE,
            "keenness_mean": scale,
            "topics": [topic.name for topic in world.market.topics],
            "licences": world.market.licences,
            "provinces": [province.name for province in world.market.provinces],
            "districts": world.district_name,
            "district_province": world.district_province.tolist(),
            "institutions": world.institution_name,
        },
    )


def _write(folder: Path, block: Block, table: pa.Table) -> None:
    pq.write_table(table, folder / f"{block.number:04d}.parquet", compression="zstd")
