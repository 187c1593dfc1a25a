"""The bid process: its channels, the bids drawn from it, and the true probability of every pair.

Reads   OUT/oracle/ (process.json, company, segment, favourite, notice/), which simulate.py writes

The formula is in `bidrec/simulator/__init__.py`. A channel sorts its rows (company, begin, end, weight) into groups; a
notice looks at one group of each channel. For each notice and channel a Poisson number of approaches picks companies of
that group; an approach becomes a bid if the company is active at the publication, may bid, and likes the size. Thinned
Poisson processes stay Poisson and independent, so P(bid) = 1 - exp(-intensity) holds exactly. The oracle knows
everybody's state at the notice's publication, and nothing random that comes after.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.random import Generator
from numpy.typing import NDArray

from bidrec.errors import InputMissing
from bidrec.simulator.entities import FIELDS, Companies, Notices
from bidrec.simulator.raw_tables import company_ids as ids_of
from bidrec.storage import sealed

LOCAL, PROVINCE, NATION, FAVOURITE, LICENCE = range(5)
NAMES = ("local", "province", "nation", "favourite", "licence")
WEIGHTS = (0.22, 0.16, 0.2, 0.22, 0.2)
"""Share of a notice's approaches that each channel makes."""
SLACK = 6.0
"""In units of company activity."""


@dataclass(frozen=True, kw_only=True)
class Channel:
    """R rows in G groups."""

    weight: float
    offset: NDArray[np.int64]
    """(G + 1,) group g is rows [offset[g], offset[g + 1])."""
    company: NDArray[np.int32]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    chance: NDArray[np.float64]
    """(R,) the row's part of its group, slack included: sums to less than 1 in a group."""
    steps: NDArray[np.float64]
    """(R + 1,) running sum of chance, from 0."""


def make_channels(companies: Companies, district_province: NDArray, topics: int, licences: int) -> list[Channel]:
    """The five channels, in the order of NAMES."""
    segment, favourite = companies.segment, companies.favourite
    does = companies.activity[segment["company"]] * segment["share"]
    likes = companies.activity[favourite["company"]] * favourite["share"]
    holder, licence = np.nonzero((companies.licences[:, None] >> np.arange(licences)) & 1)
    provinces = int(district_province.max()) + 1
    topic = segment["topic"].astype(np.int64)
    district = segment["district"].astype(np.int64)
    held: dict[str, NDArray] = {
        "company": holder.astype(np.int32),
        "begin": companies.born[holder],
        "end": companies.dies[holder],
    }
    keys: tuple[tuple[dict[str, NDArray], NDArray, int | None, NDArray], ...] = (
        (segment, district * topics + topic, len(district_province) * topics, does),
        (segment, district_province[district].astype(np.int64) * topics + topic, provinces * topics, does),
        (segment, topic, topics, does),
        (favourite, favourite["institution"].astype(np.int64) * topics + favourite["topic"], None, likes),
        (held, licence, licences, companies.activity[holder]),
    )
    return [
        _channel(rows, key, groups, weight, share)
        for (rows, key, groups, weight), share in zip(keys, WEIGHTS, strict=True)
    ]


def _channel(rows: dict[str, NDArray], key: NDArray, groups: int | None, weight: NDArray, share: float) -> Channel:
    if groups is None:
        groups = int(key.max(initial=-1)) + 1
    order = np.argsort(key, kind="stable")
    total = np.bincount(key, weights=weight, minlength=groups)
    chance = (weight / (total[key] + SLACK))[order]
    return Channel(
        weight=share,
        offset=np.concatenate([[0], np.cumsum(np.bincount(key, minlength=groups))]),
        company=rows["company"][order],
        begin=rows["begin"][order],
        end=rows["end"][order],
        chance=chance,
        steps=np.concatenate([[0.0], np.cumsum(chance)]),
    )


def groups_of(notices: dict[str, NDArray], topics: int, channels: list[Channel]) -> list[NDArray[np.int64]]:
    """For each channel, the group each notice looks at ((n,) each); -1 where nobody is."""
    topic = notices["topic"].astype(np.int64)
    keys = (
        notices["district"].astype(np.int64) * topics + topic,
        notices["province"].astype(np.int64) * topics + topic,
        topic,
        notices["institution"].astype(np.int64) * topics + topic,
        notices["licence"].astype(np.int64),
    )
    return [np.where(key < len(channel.offset) - 1, key, -1) for key, channel in zip(keys, channels, strict=True)]


SIZE_TOLERANCE = 0.75
"""log10 KRW: how far from its capacity a company still bids with exp(-1/2) of its zeal."""


def draw_bids(
    notices: Notices,
    companies: Companies,
    channels: list[Channel],
    district_province: NDArray,
    topics: int,
    rng: Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Notice rows and company rows of the bids on these notices, sorted by both, no pair twice."""
    home = district_province[companies.home]
    pairs = []
    for channel, group in zip(channels, groups_of(notices, topics, channels), strict=True):
        notice, row = _approaches(notices, channel, group, rng)
        company = channel.company[row]
        published = notices["published"][notice]
        serious = (channel.begin[row] <= published) & (published < channel.end[row])
        serious &= may_bid(notices["limit"][notice], notices["limit_too"][notice], home[company])
        liking = size_liking(notices["value"][notice], companies.capacity[company])
        serious &= rng.random(len(notice)) < liking
        pairs.append(notice[serious] * len(home) + company[serious])
    pair = np.unique(np.concatenate(pairs))
    return pair // len(home), pair % len(home)


def may_bid(limit: NDArray, limit_too: NDArray, home: NDArray) -> NDArray[np.bool_]:
    """Whether a company registered in province `home` is inside the notice's region limit (broadcasts)."""
    return (limit < 0) | (limit == home) | (limit_too == home)


def size_liking(value: NDArray, capacity: NDArray) -> NDArray[np.float64]:
    """Part of a company's zeal that the size leaves, 0 to 1 (broadcasts); both in log10 KRW."""
    return np.exp(-0.5 * ((value - capacity) / SIZE_TOLERANCE) ** 2)


def _approaches(
    notices: Notices, channel: Channel, group: NDArray, rng: Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(notice row, channel row) of each approach through one channel."""
    low, high = channel.steps[channel.offset[np.maximum(group, 0)]], channel.steps[channel.offset[group + 1]]
    count = rng.poisson(notices["keenness"] * channel.weight * (high - low))
    notice = np.repeat(np.arange(len(group)), count)
    at = low[notice] + rng.random(len(notice)) * (high - low)[notice]
    order = np.argsort(at, kind="stable")  # searching in order walks through memory once
    notice = notice[order]
    row = np.searchsorted(channel.steps, at[order], side="right") - 1
    chosen = group[notice]
    return notice, np.clip(row, channel.offset[chosen], channel.offset[chosen + 1] - 1)


FOLDER = "oracle"
PROCESS = "process.json"
VERSION = 1
"""Of the formula: kept latent parameters are read by the formula they were made for."""


def has_oracle(folder: Path) -> bool:
    """Whether the folder of dumps was simulated, so that the truth is known."""
    return (folder / FOLDER / PROCESS).is_file()


class Oracle:
    """The latent world of one simulated folder."""

    def __init__(self, folder: Path) -> None:
        """Raises InputMissing (66) where the folder has no oracle, or one of another version of the formula."""
        process = sealed.read_json(folder / FOLDER / PROCESS)
        if process["version"] != VERSION:
            raise InputMissing(f"{folder} was simulated by another version of the process", hint="simulate it again")
        self.topics = len(process["topics"])
        self.district_province = np.array(process["district_province"], np.int16)
        self.companies = load_companies(folder / FOLDER)
        self.channels = make_channels(self.companies, self.district_province, self.topics, len(process["licences"]))
        self._row = {ident: row for row, ident in enumerate(ids_of(self.companies).to_pylist())}
        self._notices = folder / FOLDER / "notice"

    def scores(self, notice_ids: Sequence[str], company_ids: Sequence[str]) -> NDArray[np.float32]:
        """(n, m) float32: natural log of the intensity of each pair at the notice's publication.

        P(bid) = 1 - exp(-exp(score)); -inf where a bid is impossible. Holds n x m float64: give it notices in blocks.
        Raises InputMissing (66) on an unknown id.
        """
        notices = self.notices(notice_ids)
        unknown = [ident for ident in company_ids if ident not in self._row]
        if unknown:
            raise InputMissing(f"the oracle knows no company {unknown[0]!r} ({len(unknown)} unknown)")
        company = np.array([self._row[ident] for ident in company_ids], np.int64)
        with np.errstate(divide="ignore"):
            return np.log(self.intensity(notices, company)).astype(np.float32)

    def intensity(self, notices: Notices, company: NDArray) -> NDArray[np.float64]:
        """(n, m) expected serious approaches of the companies (rows of self.companies, distinct) to the notices."""
        column = np.full(len(self.companies.home), -1, np.int64)
        column[company] = np.arange(len(company))
        total = np.zeros((len(notices["published"]), len(company)))
        groups = groups_of(notices, self.topics, self.channels)
        for channel, group in zip(self.channels, groups, strict=True):
            _add(total, channel, group, notices, column)
        home = self.district_province[self.companies.home][company]
        total *= may_bid(notices["limit"][:, None], notices["limit_too"][:, None], home[None, :])
        total *= size_liking(notices["value"][:, None], self.companies.capacity[company][None, :])
        return total

    def notices(self, notice_ids: Sequence[str]) -> Notices:
        """The latent rows of the notices, in the order asked for. Raises InputMissing (66) on an unknown id."""
        wanted = pa.array(list(notice_ids), pa.string())
        table = pq.read_table(self._notices, filters=pc.field("notice_id").isin(wanted))
        place = {ident: row for row, ident in enumerate(table["notice_id"].to_pylist())}
        unknown = [ident for ident in notice_ids if ident not in place]
        if unknown:
            raise InputMissing(f"the oracle knows no notice {unknown[0]!r} ({len(unknown)} unknown)")
        where = np.array([place[ident] for ident in notice_ids], np.int64)
        return {field: table[field].to_numpy()[where] for field in FIELDS}


def _add(total: NDArray, channel: Channel, group: NDArray, notices: Notices, column: NDArray) -> None:
    """Add one channel's part of the intensity to (n, m) `total`; column[c] is company c's column there, or -1."""
    for at in np.unique(group[group >= 0]):
        member = np.arange(channel.offset[at], channel.offset[at + 1])
        member = member[column[channel.company[member]] >= 0]
        row = np.flatnonzero(group == at)
        published = notices["published"][row][:, None]
        active = (channel.begin[member] <= published) & (published < channel.end[member])
        part = notices["keenness"][row][:, None] * channel.weight * channel.chance[member] * active
        # A company may have several rows in a group (one of before its drift): add, don't assign.
        np.add.at(total, (row[:, None], column[channel.company[member]][None, :]), part)


def load_companies(folder: Path) -> Companies:
    """The latent companies that save_companies wrote."""
    table = _arrays(folder / "company.parquet")
    return Companies(
        **table, segment=_arrays(folder / "segment.parquet"), favourite=_arrays(folder / "favourite.parquet")
    )


def save_companies(folder: Path, companies: Companies) -> None:
    """company.parquet (C rows), segment.parquet (S), favourite.parquet (F), row numbers as they are in memory."""
    tables: dict[str, dict[str, Any]] = {"company": {}}
    for field in fields(companies):
        value = getattr(companies, field.name)
        if isinstance(value, dict):
            tables[field.name] = value
        else:
            tables["company"][field.name] = value
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet", compression="zstd")


def _arrays(path: Path) -> dict[str, NDArray]:
    table = pq.read_table(path)
    return {name: table[name].to_numpy() for name in table.column_names}
