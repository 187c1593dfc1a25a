"""Layers that meet few numbers of rows: zeros go in behind a step's own rows, and what they gave is cut off again.

Serves  bidrec.training.machine and .graphs

A step has as many distinct notices and companies as it has. What is made for one number of rows, be it a CUDA graph or
a CPU's kernel for bfloat16, would be made anew in nearly every step. No gradient comes back through what is cut off.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


def fill_up(network: nn.Module, run: Callable[..., Tensor], sizes: int) -> None:
    """From here on the layers, where gradients are asked for, are what `run` gives for rows that are filled up to one
    of so many sizes between a power of two and the next; their parameters and their names stay."""
    as_they_come = network.forward

    def forward(*rows: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return as_they_come(*rows)
        return run(*(filled_up(row_BF, sizes) for row_BF in rows))[: len(rows[0])]

    network.forward = forward  # type: ignore[method-assign]


def filled_up(row_BF: Tensor, sizes: int) -> Tensor:
    """The rows (B, F), and rows of zeros up to the next size."""
    return functional.pad(row_BF, (0, 0, 0, size_for(len(row_BF), sizes) - len(row_BF)))


def size_for(rows: int, sizes: int) -> int:
    """The least size of at least `rows`: up to `sizes` all of them, then so many between a power of two and the next.
    At most one row in `sizes` is added."""
    step = max(1, 2 ** ((rows - 1).bit_length() - 1) // sizes)
    return -(-rows // step) * step
