"""Companies and notices as latent numbers.

A company's registration (home, licences, capacity) stays for life; what it does may drift once, to other topics it is
licensed for, to another district, or both. It bids between its birth and its end only. A notice is a row of a dict of
equally long arrays; FIELDS says what each means.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from bidrec.simulator.market import DAY, Block, World, office_hours, working_day

FOREVER = np.iinfo(np.int64).max

BORN_LATER = 0.25
"""Share of companies that appear after the data begins."""
VANISHES = 0.18
DRIFTS = 0.35
TOPICS = (0.5, 0.35, 0.15)
"""Probability of one, two, three topics at a time."""
TOPIC_SHARE = (1.0, 0.45, 0.2)
"""What the first, second, third topic get of a company's activity."""
FAVOURITES = 3
"""Favourite institutions of a company at a time."""


@dataclass(frozen=True, kw_only=True)
class Companies:
    """C companies; S rows of what they do; F rows of whom they like. Times are seconds of the Seoul clock."""

    ident: NDArray[np.int64]
    """(C,) the registration number, as a number below 10^9."""
    home: NDArray[np.int16]
    """(C,) registered district."""
    activity: NDArray[np.float64]
    """(C,) weight against others, mean about 1.5, heavy-tailed."""
    capacity: NDArray[np.float64]
    """(C,) log10 KRW of the notices it likes best."""
    licences: NDArray[np.int64]
    """(C,) bit l set = holds licence l."""
    born: NDArray[np.int64]
    dies: NDArray[np.int64]
    """(C,) bids in [born, dies) only."""
    segment: dict[str, NDArray]
    """(S,) company, begin, end, district, topic, share."""
    favourite: dict[str, NDArray]
    """(F,) company, begin, end, institution, topic, share."""


def make_companies(world: World, number: int, begin: int, end: int, rng: Generator) -> Companies:
    """`number` companies of a world whose data runs over [begin, end) (seconds of the Seoul clock)."""
    topics = world.market.topics
    popular = world.demand.sum(axis=0) ** 0.8
    home = rng.choice(len(world.district_weight), number, p=world.district_weight).astype(np.int16)
    born, dies, drift = _lives(number, begin, end, rng)
    first = _topics(popular, world, number, rng)
    second = first.copy()
    turns = rng.random(number)
    new = turns < 0.65  # to other topics; the rest keep theirs and move
    second[new] = _topics(popular, world, number, rng)[new]
    moves = turns > 0.5
    moved = np.where(moves, _next_district(world, home, rng), home).astype(np.int16)
    many = rng.choice(3, number, p=TOPICS) + 1

    drifts = drift < FOREVER
    licences = _licences(world, first, second, drifts, many, rng)
    activity = rng.lognormal(0, 0.9, number)
    value = np.array([topic.value for topic in topics])[first[:, 0]]
    capacity = value + rng.normal(0, 0.45, number) + 0.1 * np.log(activity)
    phases = [
        _phase(np.arange(number), born, np.minimum(drift, dies), home, first, many),
        _phase(np.flatnonzero(drifts), drift[drifts], dies[drifts], moved[drifts], second[drifts], many[drifts]),
    ]
    segment = {key: np.concatenate([phase[key] for phase in phases]) for key in phases[0]}
    return Companies(
        ident=_idents(number, rng),
        home=home,
        activity=activity,
        capacity=capacity,
        licences=licences,
        born=born,
        dies=dies,
        segment=segment,
        favourite=_favourites(world, segment, rng),
    )


def _licences(
    world: World, first: NDArray, second: NDArray, drifts: NDArray, many: NDArray, rng: Generator
) -> NDArray[np.int64]:
    """The licences that a company's topics need, now and after its drift, and of some one more."""
    licence_of = np.array([topic.licence for topic in world.market.topics])
    licences = np.zeros(len(many), np.int64)
    for place in range(3):
        licences |= np.where(place < many, 1 << licence_of[first[:, place]], 0)
        licences |= np.where((place < many) & drifts, 1 << licence_of[second[:, place]], 0)
    extra = rng.integers(len(world.market.licences), size=len(many))
    return licences | np.where(rng.random(len(many)) < 0.3, 1 << extra, 0)


def _lives(number: int, begin: int, end: int, rng: Generator) -> tuple[NDArray, NDArray, NDArray]:
    """Birth, end and drift of each company; FOREVER where it does not come."""
    late = rng.random(number) < BORN_LATER
    born = np.where(late, rng.integers(begin, end, number), begin - rng.integers(2, 15 * 365 * DAY, number))
    born = born // DAY * DAY + rng.integers(9 * 3600, 18 * 3600, number)  # registered in office hours
    seen = np.maximum(born, begin)
    dies = seen + (rng.uniform(0.02, 1.0, number) * (end - seen)).astype(np.int64) + 1
    dies[rng.random(number) >= VANISHES] = FOREVER
    drift = seen + (rng.uniform(0.05, 0.95, number) * (np.minimum(dies, end) - seen)).astype(np.int64)
    drift[(rng.random(number) >= DRIFTS) | (drift >= dies) | (drift <= born)] = FOREVER
    return born, dies, drift


def _topics(popular: NDArray, world: World, number: int, rng: Generator) -> NDArray[np.int64]:
    """(C, 3) a main topic by popularity, then two of the same licence or of the same buyers."""
    topics = world.market.topics
    near = np.array(
        [
            [(a is not b) * (4.0 * (a.licence == b.licence) + len(set(a.buyers) & set(b.buyers)) ** 2) for b in topics]
            for a in topics
        ]
    )
    near = near * popular + 1e-9
    np.fill_diagonal(near, 0)
    chosen = np.empty((number, 3), np.int64)
    chosen[:, 0] = rng.choice(len(topics), number, p=popular / popular.sum())
    chosen[:, 1] = _rows(near, chosen[:, 0], rng)
    chosen[:, 2] = _rows(near, chosen[:, 0], rng)
    return chosen


def _rows(table: NDArray, row: NDArray, rng: Generator) -> NDArray[np.int64]:
    """One column for each given row of a table of weights."""
    steps = np.cumsum(table / table.sum(axis=1, keepdims=True), axis=1)
    flat = (steps + np.arange(len(table))[:, None]).ravel()
    found = np.searchsorted(flat, row + rng.random(len(row)) * (1 - 1e-12), side="right")
    return np.minimum(found - row * table.shape[1], table.shape[1] - 1)


def _next_district(world: World, home: NDArray, rng: Generator) -> NDArray[np.int64]:
    """Where a company moves its work: mostly within its province."""
    same = world.district_province[:, None] == world.district_province[None, :]
    weight = world.district_weight * np.where(same, 12.0, 1.0)
    np.fill_diagonal(weight, 0)
    if len(weight) == 1:
        return home.astype(np.int64)
    return _rows(weight, home.astype(np.int64), rng)


def _phase(
    company: NDArray, begin: NDArray, end: NDArray, district: NDArray, topics: NDArray, many: NDArray
) -> dict[str, NDArray]:
    """Rows of one phase of the companies' lives: one for each topic a company has."""
    share = np.array(TOPIC_SHARE)
    taken = np.arange(3) < many[:, None]
    # A topic drawn twice counts once.
    taken[:, 2] &= topics[:, 2] != topics[:, 1]
    row, place = np.nonzero(taken)
    total = (taken * share).sum(axis=1)
    return {
        "company": company[row].astype(np.int32),
        "begin": begin[row],
        "end": end[row],
        "district": district[row].astype(np.int16),
        "topic": topics[row, place].astype(np.int16),
        "share": share[place] / total[row],
    }


def _favourites(world: World, segment: dict[str, NDArray], rng: Generator) -> dict[str, NDArray]:
    """Institutions of the segment's province, by what they order of its topic; the topic's share goes along."""
    topics = len(world.market.topics)
    institution, topic = np.nonzero(world.demand)
    key = world.institution_province[institution].astype(np.int64) * topics + topic
    order = np.argsort(key, kind="stable")
    institution, key = institution[order], key[order]
    steps = np.cumsum(world.demand[institution, key % topics])
    wanted = world.district_province[segment["district"]].astype(np.int64) * topics + segment["topic"]
    low, high = np.searchsorted(key, wanted), np.searchsorted(key, wanted, side="right")
    before = np.concatenate([[0.0], steps])
    chosen = []
    for _ in range(FAVOURITES):
        at = before[low] + rng.random(len(wanted)) * (before[high] - before[low])
        found = np.clip(np.searchsorted(steps, at, side="right"), low, np.maximum(high - 1, low))
        chosen.append(np.where(high > low, institution[np.minimum(found, len(institution) - 1)], -1))
    picked = np.stack(chosen, axis=1)
    for later in range(1, FAVOURITES):  # an institution drawn again counts once
        picked[(picked[:, :later] == picked[:, later : later + 1]).any(axis=1), later] = -1
    row, place = np.nonzero(picked >= 0)
    return {
        "company": segment["company"][row],
        "begin": segment["begin"][row],
        "end": segment["end"][row],
        "institution": picked[row, place].astype(np.int32),
        "topic": segment["topic"][row],
        "share": segment["share"][row],
    }


def _idents(number: int, rng: Generator) -> NDArray[np.int64]:
    """Distinct numbers below 10^9 that say nothing of age or place: a stride through a prime field."""
    prime = 999_999_937
    stride, offset = (int(value) for value in rng.integers(10**8, prime, 2))
    return (np.arange(1, number + 1, dtype=object) * stride + offset) % prime


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
