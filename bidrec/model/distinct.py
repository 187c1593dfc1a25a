"""Which of many numbers are the same, and their order: rows that a batch reads, ids that a table is asked for.

torch.unique and argsort, but for many numbers on a CPU: numpy's sort works with the processor's vectors, .7 instead of
2.5 ms for 31,000. What is not `distinct` never makes the host wait for a GPU: of that, how many numbers differ is only
known when all steps before are done.
"""

import numpy as np
import torch
from torch import Tensor

from bidrec.model.rows import offsets

FEW = 8_192
"""Numbers of which torch, whose code a step has at hand anyway, tells as soon."""


def distinct(number_Q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """int64 numbers (Q,), not negative and below 2**63 / 2Q: the distinct ones (R,) ascending, the place (Q,) of each
    number among these, and how often each is there (R,)."""
    if len(number_Q) < FEW or number_Q.device.type != "cpu":
        found: tuple[Tensor, Tensor, Tensor] = torch.unique(number_Q, return_inverse=True, return_counts=True)
        return found
    sorted_Q, order_Q = _sorted(number_Q)
    number_R, place_Q, count_R = sorted_Q.unique_consecutive(return_inverse=True, return_counts=True)
    return number_R, torch.empty_like(number_Q).scatter_(0, order_Q, place_Q), count_R


def runs(number_Q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For a CPU, of numbers (Q,) as `distinct` takes them: those that differ (R,) ascending, where the numbers stand
    when they are in order (Q,), the first one first where they are the same, and where in it each begins (R + 1,)."""
    sorted_Q, order_Q = _sorted(number_Q)
    number_R, count_R = sorted_Q.unique_consecutive(return_counts=True)
    return number_R, order_Q, offsets(count_R)


def places(number_Q: Tensor) -> Tensor:
    """For a GPU, of numbers (Q,) as `distinct` takes them: each one's place (Q,) among those that differ."""
    order_Q = ascending(number_Q)
    sorted_Q = number_Q[order_Q]
    first_Q = torch.zeros_like(number_Q)
    first_Q[1:] = sorted_Q[1:] != sorted_Q[:-1]
    return torch.empty_like(number_Q).scatter_(0, order_Q, first_Q.cumsum(0))


def repeats(number_Q: Tensor) -> Tensor:
    """For a GPU, of such numbers: how often each one is there (Q,)."""
    place_Q = places(number_Q)
    return counts(place_Q, len(place_Q))[place_Q]


def counts(number_Q: Tensor, below: int) -> Tensor:
    """(below,) how often 0, 1, ... are among the numbers. torch.bincount looks at the numbers first."""
    return number_Q.new_zeros(below).scatter_add_(0, number_Q, torch.ones_like(number_Q))


def ascending(number_Q: Tensor) -> Tensor:
    """Where the int64 numbers (Q,), not negative and below 2**63 / 2Q, stand when they are in order (Q,): the first one
    first where they are the same."""
    return _sorted(number_Q)[1]


def grouped(number_Q: Tensor, below: int) -> tuple[Tensor, Tensor]:
    """`ascending` of numbers below `below`, and where in it those that are 0, 1, ... begin (below + 1,)."""
    return ascending(number_Q), offsets(counts(number_Q, below))


def _sorted(number_Q: Tensor) -> tuple[Tensor, Tensor]:
    """The numbers in order, and where each one stood (Q,), the first one first where they are the same."""
    if len(number_Q) < FEW or number_Q.device.type != "cpu":
        found: tuple[Tensor, Tensor] = number_Q.sort(stable=True)
        return found
    # Both in one number, so that a plain sort is enough.
    bits = len(number_Q).bit_length()
    both_Q = np.sort(number_Q.numpy() << bits | np.arange(len(number_Q)))
    return torch.from_numpy(both_Q >> bits), torch.from_numpy(both_Q & (1 << bits) - 1)
