"""Lists of a company's newest bids, and of what came up most in them: rivals, buyers it won at, words of the titles.

Reads   arrays of one block of companies (bidrec.features.market, bidrec.features.running)
Writes  nothing: Arrow lists, one per version

Everything looks back over a fixed number of a company's events, so a version costs the same however long its history.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bidrec.features.market import Ints

_DEPTH_BITS, _COUNT_BITS = 5, 12
"""Of the packed keys below: events looked back over, and how often one thing may come up in them."""


@dataclass(frozen=True)
class Back:
    """(row, event, depth) of the newest events of each row, row by row, newest first; depth 0 is the newest."""

    row: npt.NDArray[np.int64]
    event: npt.NDArray[np.int64]
    depth: npt.NDArray[np.int64]

    @classmethod
    def over(cls, newest: Ints, oldest: Ints, length: int) -> "Back":
        """newest, oldest: (V,) rows of the newest event and of the first one that may be looked at."""
        event = newest[:, None] - np.arange(length)
        row, depth = np.nonzero(event >= oldest[:, None])
        return cls(row, newest[row] - depth, depth)

    def where(self, kept: npt.NDArray[np.bool_] | Ints) -> "Back":
        return Back(self.row[kept], self.event[kept], self.depth[kept])

    def spread(self, begin: Ints, length: Ints) -> tuple["Back", npt.NDArray[np.int64]]:
        """Each event as many times as it has items; and where those items are: begin (M,), begin (M,) + 1, ..."""
        every, item = spread(begin, length)
        return self.where(every), item


@dataclass(frozen=True)
class Ranked:
    """Per row at most N different things: (M,) each, row by row, in order."""

    row: npt.NDArray[np.int64]
    thing: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    depth: npt.NDArray[np.int64]
    """Of the newest event with it."""


def ranked(back: Back, thing: Ints, limit: int, *, sign: Ints | None = None, by_count: bool = True) -> Ranked:
    """Count each row's things and keep the first `limit`: most often first, then newest; or newest first.

    thing: (M,) one per entry of `back`. sign: (M,) +1 or -1, what one counts; things that come to nothing are left out.
    """
    bits = int(thing.max(initial=0)).bit_length()
    minus = np.zeros(len(thing), np.int64) if sign is None else (sign < 0).astype(np.int64)
    key = ((back.row << bits | thing) << _DEPTH_BITS | back.depth) << 1 | minus
    key.sort()
    group = key >> (_DEPTH_BITS + 1)
    start = np.flatnonzero(np.diff(group, prepend=-1))
    count = np.add.reduceat(1 - 2 * (key & 1), start) if len(start) else np.zeros(0, np.int64)
    depth = (key[start] >> 1) & ((1 << _DEPTH_BITS) - 1)
    rarity = (1 << _COUNT_BITS) - 1 - count
    found = group[start]
    row, thing = found >> bits, found & ((1 << bits) - 1)
    order = rarity << _DEPTH_BITS | depth if by_count else depth << _COUNT_BITS | rarity
    key = ((row << (_COUNT_BITS + _DEPTH_BITS) | order) << bits | thing)[count > 0]
    kept = np.argsort(key)
    row = row[count > 0][kept]
    first = np.flatnonzero(np.diff(row, prepend=-1))
    place = np.arange(len(row)) - np.repeat(first, np.diff(first, append=len(row)))
    kept = np.flatnonzero(count > 0)[kept][place < limit]
    return Ranked(found[kept] >> bits, found[kept] & ((1 << bits) - 1), count[kept], depth[kept])


def spread(begin: Ints, length: Ints) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The runs begin (M,), begin + 1, ..., `length` long each, one after the other: which run, and the number."""
    run = np.repeat(np.arange(len(length)), length)
    return run, begin[run] + np.arange(len(run)) - np.repeat(np.cumsum(length) - length, length)


def lists(rows: int, row: Ints, values: pa.Array) -> pa.ListArray:
    """One list per row; row: (M,) whose each value is, sorted."""
    offsets = np.searchsorted(row, np.arange(rows + 1))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)
