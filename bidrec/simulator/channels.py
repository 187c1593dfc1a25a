"""The channels through which companies come to bid: groups of companies with weights, built once.

Reads   companies.py's latent tables
Read by bids.py (draws from the groups) and oracle.py (sums over them): both see the same arrays

A channel sorts its rows (company, begin, end, weight) into groups; a notice looks at one group of each channel.
The chance of a row in its group is weight / (the group's weight + SLACK): a small group does not answer everything.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bidrec.simulator.companies import Companies

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
