"""A seeded order of many things, any part of which is worked out by arithmetic when it is asked for.

No list of tens of millions of numbers is drawn before the first step, kept while an epoch lasts, or drawn again between
two epochs.

A Feistel network over two numbers whose sizes are about the root of N, as Black and Rogaway describe it ("Ciphers with
Arbitrary Finite Domains", 2002); what falls on a number that does not exist is sent through again until it does not.
Mitchell et al. ("Bandwidth-Optimal Random Shuffling for GPUs", 2022) found such orders as good as drawn ones.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

ROUNDS, MORE_ROUNDS, FEW = 6, 24, 4_096
"""Rounds of the network, and those where there are but a few numbers: halves of three bits are mixed less by each."""
AT_ONCE = 16_384
"""Numbers that are worked out together: what a call of numpy costs is then shared."""
RUNS = 8
"""Runs of neighbours that are shuffled together where not all are."""
_HALF = 16
"""Bits of half a number, at most: numbers are below 2**31."""
_MIX, _MIX_AGAIN, _SHIFT = np.uint32(0x7FEB352D), np.uint32(0x846CA68B), np.uint32(15)
"""Of the integer hash with the least bias that Wellons found in his search ("Prospecting for hash functions", 2018)."""

Int32 = npt.NDArray[np.int32]
UInt32 = npt.NDArray[np.uint32]


class Permutation:
    """Each number below `size` stands at one place below `size`; at which one, the `keys` (MORE_ROUNDS,) alone say."""

    def __init__(self, size: int, keys: UInt32) -> None:
        self.size, self.keys = size, keys[:ROUNDS] if size >= FEW else keys
        self.bits = np.uint32((max(1, size - 1).bit_length() + 1) // 2)
        self.low = np.uint32((1 << int(self.bits)) - 1)
        self.high = np.uint32(-(-size >> int(self.bits)))

    def part(self, begin: int, end: int) -> Int32:
        """The numbers (end - begin,) that stand at these places."""
        number = self._sent(np.arange(begin, end, dtype=np.uint32))
        while (outside := number >= self.size).any():
            number[outside] = self._sent(number[outside])
        return number.view(np.int32)

    def _sent(self, number: UInt32) -> UInt32:
        """Once through the network: below high * 2**bits, of which hardly any is not below `size`."""
        high, low = number >> self.bits, number & self.low
        for first, second in zip(self.keys[::2], self.keys[1::2], strict=True):
            high += _mixed(low, first) * self.high >> _HALF
            high -= (high >= self.high) * self.high
            low += _mixed(high, second)
            low &= self.low
        return high << self.bits | low


class Run(NamedTuple):
    """Neighbouring numbers [begin, end)."""

    begin: int
    end: int


class Order:
    """An order of random runs. RUNS of them make a window, in which their numbers are shuffled."""

    def __init__(self, size: int, window: int, generator: torch.Generator) -> None:
        """`window`: about how many numbers one has; 0: there is one, of one run that has them all."""
        length = max(1, window // RUNS if window else size)
        first = torch.randperm(-(-size // length), generator=generator) * length
        self.windows = [[Run(i, min(i + length, size)) for i in some.tolist()] for some in first.split(RUNS)]
        self.begins: list[int] = np.cumsum(
            [0, *(sum(run.end - run.begin for run in runs) for runs in self.windows)]
        ).tolist()
        self.keys = draw_keys(generator, len(self.windows))
        self.size, self.known_from, self.known = size, 0, np.empty(0, dtype=np.int32)

    def part(self, begin: int, end: int) -> Int32:
        """The numbers (end - begin,) that stand at these places; not to be written to."""
        if end - begin > AT_ONCE:
            return self._part(begin, end)
        if not self.known_from <= begin <= end <= self.known_from + len(self.known):
            self.known_from, self.known = begin, self._part(begin, min(begin + AT_ONCE, self.size))
        return self.known[begin - self.known_from : end - self.known_from]

    def _part(self, begin: int, end: int) -> Int32:
        parts = [
            _numbers_of(runs, Permutation(last - first, keys).part(max(begin, first) - first, min(end, last) - first))
            for runs, keys, first, last in zip(self.windows, self.keys, self.begins, self.begins[1:], strict=False)
            if first < end and begin < last
        ]
        return np.concatenate(parts)


def draw_keys(generator: torch.Generator, orders: int = 1) -> UInt32:
    """(orders, MORE_ROUNDS) the keys of so many orders."""
    return torch.randint(2**32, (orders, MORE_ROUNDS), generator=generator).numpy().astype(np.uint32)


def _mixed(number: UInt32, key: np.uint32) -> UInt32:
    """_HALF bits that depend on all of the number's and of the key's."""
    mixed = number ^ key
    mixed ^= mixed >> np.uint32(_HALF)
    mixed *= _MIX
    mixed ^= mixed >> _SHIFT
    mixed *= _MIX_AGAIN
    mixed >>= np.uint32(_HALF)
    return mixed


def _numbers_of(runs: list[Run], place: Int32) -> Int32:
    """The numbers at these places among the runs, which follow each other there."""
    begin, lengths = np.array([(run.begin, run.end - run.begin) for run in runs], dtype=np.int32).T
    before = np.cumsum(lengths, dtype=np.int32) - lengths
    run = np.searchsorted(before, place, side="right") - 1
    found: Int32 = begin[run] + place - before[run]
    return found
