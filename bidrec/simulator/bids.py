"""Who bids: draws bids without ever forming the notices x companies matrix.

Reads   a block's notices, channels.py's groups
Writes  (notice, company) index pairs, which dumps.py makes rows of the bid table of

For each notice and channel a Poisson number of approaches picks companies from the notice's group; an approach becomes
a bid if the company is active at the publication, may bid, and likes the size. Thinned Poisson processes stay Poisson
and independent, so P(bid) = 1 - exp(-intensity) holds exactly, company by company.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from bidrec.simulator.channels import Channel, groups_of
from bidrec.simulator.companies import Companies
from bidrec.simulator.notices import Notices

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
