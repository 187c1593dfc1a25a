"""A seeded order of many things, any part of which is worked out by arithmetic when it is asked for.

No list of tens of millions of numbers is drawn before the first step, kept while an epoch lasts, or drawn again between
two epochs.

A Feistel network over two numbers whose sizes are about the root of N, as Black and Rogaway describe it ("Ciphers with
Arbitrary Finite Domains", 2002); what falls on a number that does not exist is sent through again until it does not.
Mitchell et al. ("Bandwidth-Optimal Random Shuffling for GPUs", 2022) found such orders as good as drawn ones.
"""

import math

import torch
from torch import Tensor

ROUNDS = 6
_MIX, _MIX_AGAIN = -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15  # the odd factors of SplitMix64
_BITS = 31  # of a mixed number; a half has fewer, so that their product fits


class Permutation:
    """Each number below `size` stands at one place below `size`; which one depends on the `keys` (ROUNDS,) alone."""

    def __init__(self, size: int, keys: list[int]) -> None:
        self.size, self.keys = size, keys
        self.high = math.isqrt(max(0, size - 1)) + 1
        self.low = -(-size // self.high)

    def part(self, begin: int, end: int, device: torch.device) -> Tensor:
        """The numbers (end - begin,) int64 at these places."""
        number = self._sent(torch.arange(begin, end, device=device))
        while bool((outside := number >= self.size).any()):
            number[outside] = self._sent(number[outside])
        return number

    def _sent(self, number: Tensor) -> Tensor:
        """Once through the network: below high * low, of which hardly any is not below `size`."""
        high, low = number // self.low, number % self.low
        for first, second in zip(self.keys[::2], self.keys[1::2], strict=True):
            high = _turned(high, self.high, low, first)
            low = _turned(low, self.low, high, second)
        return high * self.low + low


def draw_keys(generator: torch.Generator, orders: int = 1) -> list[list[int]]:
    """The keys of so many orders."""
    keys: list[list[int]] = torch.randint(2**62, (orders, ROUNDS), generator=generator).tolist()
    return keys


def _turned(half: Tensor, size: int, by: Tensor, key: int) -> Tensor:
    """One half moved on, modulo its size, by a number mixed from the other."""
    mixed = (by + key) * _MIX
    mixed = (mixed ^ (mixed >> _BITS)) * _MIX_AGAIN
    step = (((mixed >> 64 - _BITS) & (1 << _BITS) - 1) * size) >> _BITS
    turned = half + step
    return torch.where(turned < size, turned, turned - size)
