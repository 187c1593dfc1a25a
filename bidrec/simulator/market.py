"""The market: its words and places, districts, institutions and their demand, and when notices appear.

Reads   market.toml beside this file

Small worlds use fewer districts, so that a district has enough companies and notices to learn from. All times are
seconds of the Seoul clock since 1970.
"""

import tomllib
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Topic:
    """One line of work: companies specialise in it, notices ask for it."""

    name: str
    licence: int
    """Index into Market.licences: who does this work holds it."""
    also: int
    """A second licence that a notice may accept instead; -1 = none."""
    buyers: str
    """Letters of the kinds of institution that order it."""
    value: float
    """Median estimated price, log10 KRW."""
    work: str
    """공사 (works), 용역 (services) or 물품 (goods)."""
    things: tuple[str, ...]
    deeds: tuple[str, ...]
    """A title says one thing and one deed: '노후 상수관로' '정비공사'."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of institution, one in each district or in each province."""

    letter: str
    name: str
    level: str
    weight: float
    sites: tuple[str, ...]
    """What its titles name after the district: a village, a school, a hall."""


@dataclass(frozen=True, kw_only=True)
class Province:
    name: str
    code: str
    short: str
    share: float
    beside: int
    """Index of the province that a region limit to two provinces names with it."""
    districts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Market:
    provinces: tuple[Province, ...]
    kinds: tuple[Kind, ...]
    topics: tuple[Topic, ...]
    licences: tuple[str, ...]
    """In KONEPS's form, name/code."""
    first: tuple[str, ...]
    second: tuple[str, ...]
    forms: tuple[str, ...]
    """What company names are put together from."""


@cache
def market() -> Market:
    """The market, read once."""
    tree = tomllib.loads((Path(__file__).parent / "market.toml").read_text(encoding="utf-8"))
    licences = tree["licences"]["names"]
    provinces = [entry["name"] for entry in tree["province"]]
    return Market(
        provinces=tuple(
            Province(**_tuples(entry) | {"beside": provinces.index(entry["beside"])}) for entry in tree["province"]
        ),
        kinds=tuple(Kind(**_tuples(entry)) for entry in tree["kind"]),
        topics=tuple(
            Topic(
                **_tuples(entry)
                | {
                    "licence": licences.index(entry["licence"]),
                    "also": licences.index(entry["also"]) if "also" in entry else -1,
                }
            )
            for entry in tree["topic"]
        ),
        licences=tuple(licences),
        first=tuple(tree["company"]["first"]),
        second=tuple(tree["company"]["second"]),
        forms=tuple(tree["company"]["forms"]),
    )


def _tuples(entry: dict) -> dict:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}


COMPANIES_PER_DISTRICT = 60


@dataclass(frozen=True, kw_only=True)
class World:
    """D districts, I institutions, T topics."""

    market: Market
    district_name: list[str]
    district_province: NDArray[np.int16]
    """(D,) index of the province."""
    district_weight: NDArray[np.float64]
    """(D,) how many companies sit there beside the others; sums to 1."""
    institution_name: list[str]
    institution_kind: NDArray[np.int16]
    institution_province: NDArray[np.int16]
    institution_district: NDArray[np.int16]
    """(I,) -1 where the institution serves the whole province."""
    demand: NDArray[np.float64]
    """(I, T) share of the notices that are this institution's on this topic; sums to 1."""

    def district_label(self) -> list[str]:
        """(D,) '전북특별자치도 전주시 덕진구'; a province of one district is not named twice."""
        return [
            f"{self.market.provinces[province].name} {name}"
            for province, name in zip(self.district_province, self.district_name, strict=True)
        ]


def make_world(market: Market, companies: int, rng: Generator) -> World:
    """Choose districts for `companies` companies, found the institutions there, and say what each orders."""
    names, provinces = _districts(market, companies // COMPANIES_PER_DISTRICT)
    shares = np.array([market.provinces[province].share for province in provinces]) * rng.lognormal(0, 0.5, len(names))
    institutions = [
        (_named(kind, market.provinces[province], name), index, province, district)
        for index, kind in enumerate(market.kinds)
        for district, (name, province) in enumerate(zip(names, provinces, strict=True))
        if kind.level == "district"
    ] + [
        (_named(kind, province, province.name), index, place, -1)
        for index, kind in enumerate(market.kinds)
        for place, province in enumerate(market.provinces)
        if kind.level == "province"
    ]
    label, kind_of, province_of, district_of = zip(*institutions, strict=True)
    kinds = np.array(kind_of, np.int16)
    return World(
        market=market,
        district_name=names,
        district_province=np.array(provinces, np.int16),
        district_weight=shares / shares.sum(),
        institution_name=list(label),
        institution_kind=kinds,
        institution_province=np.array(province_of, np.int16),
        institution_district=np.array(district_of, np.int16),
        demand=_demand(market, kinds, np.array(province_of), rng),
    )


def _districts(market: Market, wanted: int) -> tuple[list[str], list[int]]:
    """About `wanted` districts: at least one a province, the others by the provinces' shares."""
    total = sum(province.share for province in market.provinces)
    chosen = [
        (name, place)
        for place, province in enumerate(market.provinces)
        for name in province.districts[: max(1, round(wanted * province.share / total))]
    ]
    return [name for name, _ in chosen], [place for _, place in chosen]


def _named(kind: Kind, province: Province, district: str) -> str:
    city = district.split(" ")[0]
    town = city[:-1] if len(city) > 2 else city  # 전주시 -> 전주, but 중구 stays
    return kind.name.format(province=province.name, short=province.short, district=district, city=city, town=town)


def _demand(market: Market, kinds: NDArray, provinces: NDArray, rng: Generator) -> NDArray[np.float64]:
    """Every institution orders what its kind orders, in proportions of its own."""
    orders = np.array([[kind.letter in topic.buyers for topic in market.topics] for kind in market.kinds], float)
    taste = orders[kinds] * rng.gamma(0.6, 1.0, (len(kinds), len(market.topics)))
    taste /= taste.sum(axis=1, keepdims=True)
    share = np.array([province.share for province in market.provinces])[provinces]
    weight = np.array([kind.weight for kind in market.kinds])[kinds] * share * rng.lognormal(0, 0.8, len(kinds))
    demand = taste * weight[:, None]
    return demand / demand.sum()


DAY = 86_400
BLOCK_NOTICES = 40_000
"""Notices of a block at most: what is held in memory at once."""

_MONTHS = (0.75, 0.85, 1.25, 1.3, 1.2, 1.15, 1.0, 0.95, 1.0, 1.05, 0.95, 0.55)
_WEEKDAYS = (1.0, 1.1, 1.1, 1.1, 0.9, 0.03, 0.02)
_OFFICE = (9.0, 18.0)


@dataclass(frozen=True, kw_only=True)
class Block:
    """Notices of some consecutive days of one month."""

    number: int
    month: str
    """yyyymm"""
    first: int
    last: int
    """Days since 1970, both inclusive."""
    per_day: NDArray[np.int64]
    """Notices on each of these days."""

    @property
    def notices(self) -> int:
        return int(self.per_day.sum())


def seconds(clock: datetime) -> int:
    """A naive datetime of the Seoul clock as seconds since 1970 on that clock."""
    return int((clock.replace(tzinfo=None) - datetime(1970, 1, 1)).total_seconds())


def blocks(notices: int, days: int, end: int, rng: Generator) -> list[Block]:
    """Spread `notices` exactly over the `days` that end with the day of `end`, in blocks of at most BLOCK_NOTICES
    (one day is never cut)."""
    dates = np.arange(end // DAY - days + 1, end // DAY + 1)
    weight = day_weights(dates) * rng.lognormal(0, 0.15, days)
    counts = rng.multinomial(notices, weight / weight.sum())
    months = dates.astype("datetime64[D]").astype("datetime64[M]")
    made: list[Block] = []
    start, held = 0, 0
    for day in range(days):
        if day > start and (months[day] != months[start] or held + counts[day] > BLOCK_NOTICES):
            made.append(_block(len(made), dates, counts, start, day))
            start, held = day, 0
        held += int(counts[day])
    made.append(_block(len(made), dates, counts, start, days))
    return made


def day_weights(dates: NDArray) -> NDArray[np.float64]:
    """How busy days (since 1970) are beside each other."""
    month = dates.astype("datetime64[D]").astype("datetime64[M]").astype(int) % 12
    return np.array(_MONTHS)[month] * np.array(_WEEKDAYS)[weekday(dates)]


def weekday(dates: NDArray) -> NDArray[np.int64]:
    """0 = Monday. 1970-01-01 was a Thursday."""
    return (dates + 3) % 7


def office_hours(dates: NDArray, rng: Generator) -> NDArray[np.int64]:
    """A clock time on each of the days: mostly late morning and afternoon."""
    low, high = _OFFICE
    hour = low + (high - low) * rng.beta(1.6, 1.3, len(dates))
    return dates * DAY + (hour * 3600).astype(np.int64)


def working_day(dates: NDArray) -> NDArray[np.int64]:
    """The day itself, or the Monday after a weekend."""
    return dates + np.where(weekday(dates) == 5, 2, np.where(weekday(dates) == 6, 1, 0))


def _block(number: int, dates: NDArray, counts: NDArray, start: int, stop: int) -> Block:
    month = str(dates[start].astype("datetime64[D]").astype("datetime64[M]")).replace("-", "")
    return Block(
        number=number, month=month, first=int(dates[start]), last=int(dates[stop - 1]), per_day=counts[start:stop]
    )
