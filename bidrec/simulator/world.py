"""The buyers: which districts and institutions the world has, and what they order.

Read by companies.py (whom companies work for) and notices.py (who publishes). Small worlds use fewer districts, so that
a district has enough companies and notices to be learned from.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from bidrec.simulator.vocabulary import Kind, Market, Province

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
