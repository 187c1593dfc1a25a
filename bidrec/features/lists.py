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

_DEPTH_BITS, _COUNT_BITS = 5, 6
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

    def where(self, kept: npt.NDArray[np.bool_]) -> "Back":
        return Back(self.row[kept], self.event[kept], self.depth[kept])


@dataclass(frozen=True)
class Ranked:
    """Per row at most N different things: (M,) each, row by row, in order."""

    row: npt.NDArray[np.int64]
    thing: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    depth: npt.NDArray[np.int64]
    """Of the newest event with it."""


def ranked(
    row: Ints, thing: Ints, depth: Ints, limit: int, *, sign: Ints | None = None, least: int = 1, by_count: bool = True
) -> Ranked:
    """Count each row's things and keep the first `limit`: most often first, then newest; or newest first.

    row, thing, depth: (M,) one per time that a thing comes up. sign: (M,) +1 or -1, what one counts. Things that come
    up less than `least` times are left out. Everything is packed into integers, which sort fastest.
    """
    bits, low = int(thing.max(initial=0)).bit_length(), _DEPTH_BITS + 1
    key = (row << bits | thing) << low | depth << 1
    if sign is not None:
        key |= sign < 0
    key.sort()
    start = np.flatnonzero(np.diff(key >> low, prepend=-1))
    if sign is None:
        count = np.diff(start, append=len(key))
    else:
        count = np.add.reduceat(1 - 2 * (key & 1), start) if len(start) else start
    key, count = key[start][count >= least], count[count >= least]
    depth, rarity = (key >> 1) & _mask(_DEPTH_BITS), _mask(_COUNT_BITS) - count
    order = rarity << _DEPTH_BITS | depth if by_count else depth << _COUNT_BITS | rarity
    row, thing = key >> (low + bits), (key >> low) & _mask(bits)
    key = (row << (_COUNT_BITS + _DEPTH_BITS) | order) << bits | thing
    key.sort()
    row = key >> (_COUNT_BITS + _DEPTH_BITS + bits)
    first = np.flatnonzero(np.diff(row, prepend=-1))
    kept = np.arange(len(row)) - np.repeat(first, np.diff(first, append=len(row))) < limit
    key, row = key[kept], row[kept]
    if by_count:
        rarity, depth = key >> (bits + _DEPTH_BITS), key >> bits
    else:
        rarity, depth = key >> bits, key >> (bits + _COUNT_BITS)
    count = _mask(_COUNT_BITS) - (rarity & _mask(_COUNT_BITS))
    return Ranked(row, key & _mask(bits), count, depth & _mask(_DEPTH_BITS))


def _mask(bits: int) -> int:
    return (1 << bits) - 1


def again(event: Ints, thing: Ints, company: Ints, length: int) -> npt.NDArray[np.int64]:
    """Of things that came up at events, the rows (into M) of those that a company had twice within `length` events.

    event, thing: (M,); company: of each event, never falling, as events are in order company by company.
    """
    bits, width = int(thing.max(initial=0)).bit_length(), int(event.max(initial=0)).bit_length()
    order = np.argsort(((company[event].astype(np.int64) << bits | thing) << width) | event)
    event, thing = event[order], thing[order]
    near = np.zeros(len(order) + 1, bool)
    near[1:-1] = (thing[1:] == thing[:-1]) & (company[event[1:]] == company[event[:-1]])
    near[1:-1] &= np.diff(event) < length
    return order[near[1:] | near[:-1]]


def spread(begin: Ints, length: Ints) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The runs begin (M,), begin + 1, ..., `length` long each, one after the other: which run, and the number."""
    run = np.repeat(np.arange(len(length)), length)
    return run, begin[run] + np.arange(len(run)) - np.repeat(np.cumsum(length) - length, length)


def lists(rows: int, row: Ints, values: pa.Array) -> pa.ListArray:
    """One list per row; row: (M,) whose each value is, sorted."""
    offsets = np.searchsorted(row, np.arange(rows + 1))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)
