"""The notices of a block, as latent numbers: who publishes what, where, for how much, who may answer, how keenly.

Reads   world.py, calendar.py
Read by bids.py and oracle.py (intensity), dumps.py and titles.py (the words)

A notice is a row of a dict of equally long arrays; FIELDS says what each means.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from bidrec.simulator.calendar import DAY, Block, office_hours, working_day
from bidrec.simulator.world import World

Notices = dict[str, NDArray]

FIELDS: dict[str, str] = {
    "serial": "number within the month of the first notice; with `month` the bidntceno",
    "month": "yyyymm of the first notice, as a number",
    "reissue": "0 = first notice, 1 = first re-notice ...: the bidntceord",
    "published": "seconds of the Seoul clock",
    "closes": "seconds",
    "opened": "seconds; bids become public",
    "institution": "index",
    "province": "index: where the work is",
    "district": "index: where the work is",
    "topic": "index",
    "licence": "index: the topic's",
    "value": "log10 KRW",
    "keenness": "mean number of approaches (m in the formula)",
    "limit": "province whose companies alone may bid; -1 = no limit",
    "limit_too": "a second such province; -1 = none",
    "licence_limited": "whether the notice asks for the licence",
    "licence_either": "whether it accepts the topic's second licence as well",
    "fails": "whether hardly anybody answers, so that it is published again",
    "words": "seed of the title",
}

FAILS = 0.06
FAILED_INTEREST = 0.04
"""Keenness of a notice that fails, beside one that does not."""
KEENNESS_SPREAD = 1.1


def fresh(world: World, block: Block, per_day: NDArray, scale: float, rng: Generator) -> Notices:
    """New notices, per_day[d] on the block's day d. `scale` is the mean keenness of a notice that does not fail."""
    dates = np.repeat(np.arange(block.first, block.last + 1), per_day)
    number = len(dates)
    topics = len(world.market.topics)
    cell = rng.choice(world.demand.size, number, p=world.demand.ravel())
    institution, topic = cell // topics, cell % topics
    district = _where(world, institution, rng)
    value = np.array([entry.value for entry in world.market.topics])[topic] + rng.normal(0, 0.5, number)
    also = np.array([entry.also for entry in world.market.topics])[topic]
    province = world.district_province[district]
    limited = rng.random(number) < np.where(value < 9.0, 0.5, np.where(value < 10.0, 0.35, 0.05))
    beside = np.array([entry.beside for entry in world.market.provinces])[province]
    fails = rng.random(number) < FAILS
    notices: Notices = {
        "institution": institution.astype(np.int32),
        "province": province.astype(np.int16),
        "district": district.astype(np.int16),
        "topic": topic.astype(np.int16),
        "licence": np.array([entry.licence for entry in world.market.topics])[topic].astype(np.int16),
        "value": value,
        "limit": np.where(limited, province, -1).astype(np.int16),
        "limit_too": np.where(limited & (rng.random(number) < 0.12), beside, -1).astype(np.int16),
        "licence_limited": rng.random(number) < 0.93,
        "licence_either": (also >= 0) & (rng.random(number) < 0.4),
        "words": rng.integers(2**62, size=number),
        "reissue": np.zeros(number, np.int16),
        "month": np.full(number, int(block.month), np.int32),
    }
    return notices | _answers(scale, fails, rng) | _times(office_hours(dates, rng), value, rng)


def again(failed: Notices, first_day: int, scale: float, rng: Generator) -> Notices:
    """The same notices published again, on working days from `first_day` (since 1970) on."""
    number = len(failed["serial"])
    soon = failed["opened"] // DAY + rng.integers(1, 6, number)
    dates = working_day(np.where(soon < first_day, first_day + rng.integers(0, 8, number), soon))
    fails = rng.random(number) < FAILS
    return (
        failed
        | {"reissue": (failed["reissue"] + 1).astype(np.int16)}
        | _answers(scale, fails, rng)
        | _times(office_hours(dates, rng), failed["value"] - 1.0, rng)  # a second notice has a shorter deadline
    )


def take(notices: Notices, chosen: NDArray) -> Notices:
    return {field: values[chosen] for field, values in notices.items()}


def join(*parts: Notices) -> Notices:
    """The rows of all parts, by publication."""
    together = {field: np.concatenate([part[field] for part in parts]) for field in parts[0]}
    return take(together, np.argsort(together["published"], kind="stable"))


def _where(world: World, institution: NDArray, rng: Generator) -> NDArray[np.int64]:
    """The institution's district, or for one of a whole province a district there, by weight."""
    province = world.institution_province[institution].astype(np.int64)
    steps = np.concatenate([[0.0], np.cumsum(world.district_weight)])
    low = np.searchsorted(world.district_province, province)
    high = np.searchsorted(world.district_province, province, side="right")
    at = steps[low] + rng.random(len(institution)) * (steps[high] - steps[low])
    somewhere = np.clip(np.searchsorted(steps, at, side="right") - 1, low, high - 1)
    own = world.institution_district[institution]
    return np.where(own >= 0, own, somewhere)


def _answers(scale: float, fails: NDArray, rng: Generator) -> Notices:
    # Log-normal of mean 1: some notices draw a handful, some hundreds.
    spread = rng.lognormal(-0.5 * KEENNESS_SPREAD**2, KEENNESS_SPREAD, len(fails))
    return {"fails": fails, "keenness": scale * spread * np.where(fails, FAILED_INTEREST, 1.0)}


def _times(published: NDArray, value: NDArray, rng: Generator) -> Notices:
    """Bids close on a working day at a full hour, one to three weeks later; they are opened an hour or a day after."""
    lead = np.clip(6 + 3 * (value - 7) + rng.gamma(2.0, 1.5, len(published)), 3, 45).astype(np.int64)
    closing_day = working_day(published // DAY + lead)
    closes = closing_day * DAY + rng.choice([10, 10, 10, 11, 12, 14, 16], len(published)) * 3600
    later = rng.random(len(published)) < 0.07
    opened = np.where(later, working_day(closing_day + 1) * DAY + 11 * 3600, closes + 3600)
    return {"published": published, "closes": closes, "opened": opened}
