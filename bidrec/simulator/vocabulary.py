"""The words and places of the simulated market: provinces, institutions, licences, topics of work.

Reads   market.toml beside this file
Read by world.py (who works on what, where), notices.py and titles.py (what a notice says)
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path


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
