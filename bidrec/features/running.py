"""A company's running numbers after each moment at which something of its bids became known, in one pass.

Reads   arrays of one block of companies (bidrec.features.market)
Writes  nothing: arrays, one row per version, which company_activity.sql turns into features

Every number is the one before plus what is new, so a build that goes on from a stored state gives to the bit what one
from the start gives: counts and sums are integers, and the decayed count is always made in the same steps.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bidrec.features.market import Events, Ints, Jagged

DAY = 86_400_000_000
"""In microseconds, the unit of all times here."""
WINDOWS = {"bids_30d": 30 * DAY, "bids_90d": 90 * DAY, "bids_365d": 365 * DAY}
HALF_LIFE = 90 * DAY

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BidSequence:
    """A block's bids, or outcomes of them: of the past, then of the news, company by company, oldest first."""

    order: npt.NDArray[np.int64]
    """Row of each among (past rows, new rows) one after the other."""
    begin: npt.NDArray[np.int64]
    """(C + 1,) where each company's begin."""
    newest: npt.NDArray[np.int64]
    """(V,) the newest at each version; one before the company's first where it has none."""

    @classmethod
    def of(
        cls, companies: int, past: Ints, new: Ints, versions: "Versions", is_new: npt.NDArray[np.bool_]
    ) -> "BidSequence":
        """past, new: companies of both, sorted. is_new: (E,) which events are the new ones."""
        both = np.concatenate([past, new])
        order = np.argsort(both, kind="stable")
        begin = np.searchsorted(both[order], np.arange(companies + 1))
        held = np.bincount(past, minlength=companies)
        newest = begin[versions.company] + held[versions.company] + versions.so_far(is_new) - 1
        return cls(order, begin, newest)

    def part(self, rows: slice) -> "BidSequence":
        """As some of the versions see it."""
        return replace(self, newest=self.newest[rows])


@dataclass(frozen=True)
class Versions:
    """The versions of a block: the last event of each company and moment has seen all of the moment's."""

    event: npt.NDArray[np.int64]
    """(V,)"""
    company: npt.NDArray[np.int32]
    known: npt.NDArray[np.int64]
    first_event: npt.NDArray[np.int64]
    """(V,) first event of the version's company."""

    @classmethod
    def of(cls, events: Events) -> "Versions":
        company, known = events.company, events.known
        last = np.ones(len(company), bool)
        last[:-1] = (company[1:] != company[:-1]) | (known[1:] != known[:-1])
        event = np.flatnonzero(last)
        return cls(event, company[event], known[event], np.searchsorted(company, company[event]))

    def part(self, rows: slice) -> "Versions":
        return Versions(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def so_far(self, change: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
        """(V,) sum of the company's changes (E,) up to each version."""
        total = np.concatenate([[0], np.cumsum(change, dtype=np.int64)])
        return total[self.event + 1] - total[self.first_event]

    def last_of_companies(self) -> npt.NDArray[np.int64]:
        """Rows of the newest version of each company that has one."""
        return np.flatnonzero(np.append(self.company[1:] != self.company[:-1], len(self.company) > 0))


@dataclass(frozen=True)
class Seen:
    """Of the new events, those that are their company's first with a buyer (or place)."""

    is_first: npt.NDArray[np.bool_]
    """(E,)"""
    before: Jagged

    @classmethod
    def of(cls, events: Events, code: Ints, words: int, before: Jagged) -> "Seen":
        """code: (E,) what each event is with, -1 where that is not stated or the event is no bid."""
        company = np.repeat(np.arange(len(before.offsets) - 1), np.diff(before.offsets))
        known = company.astype(np.int64) * words + before.values
        stated = np.flatnonzero(code >= 0)
        pair, first = np.unique(events.company[stated].astype(np.int64) * words + code[stated], return_index=True)
        is_first = np.zeros(len(code), bool)
        is_first[stated[first[~np.isin(pair, known)]]] = True
        return cls(is_first, before)


def within(bids: BidSequence, known: Ints, versions: Versions, length: int) -> npt.NDArray[np.int64]:
    """(V,) first bid of each version's company that is at most `length` before the version, both ends included.

    known: times of the bids in the order of the sequence.
    """
    # Company and time in one integer would not fit 63 bits; company and rank of the time do.
    times = np.unique(known)
    company = np.repeat(np.arange(len(bids.begin) - 1), np.diff(bids.begin))
    keys = company * (len(times) + 1) + np.searchsorted(times, known)
    earliest = np.searchsorted(times, versions.known - length)
    return np.searchsorted(keys, versions.company.astype(np.int64) * (len(times) + 1) + earliest)


def decayed(bids: BidSequence, known: Ints, held: Ints, before: Floats) -> Floats:
    """The decayed count at each bid of the sequence: 1, plus the one before halved every HALF_LIFE.

    held: (C,) how many bids of the sequence each company has of the past; before: (C,) the count at the last of them.
    All companies take their k-th new step at once.
    """
    count = np.zeros(len(known))
    begins = bids.begin[:-1][np.diff(bids.begin) > 0]
    gap = np.diff(known, prepend=0)
    gap[begins] = 0
    kept = np.exp2(-gap / HALF_LIFE)
    kept[begins] = 0
    has_past = np.flatnonzero(held)
    first_new = bids.begin[:-1] + held
    count[first_new[has_past] - 1] = before[has_past]
    steps = np.diff(bids.begin) - held
    busiest_first = np.argsort(-steps, kind="stable")
    at, steps = first_new[busiest_first], steps[busiest_first]
    for step in range(int(steps.max(initial=0))):
        row = at[: np.searchsorted(-steps, -step)] + step
        count[row] = count[row - 1] * kept[row] + 1
    return count
