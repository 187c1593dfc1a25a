"""A tower's layers as CUDA graphs: some ten kernels, forward or backward, launched in one call.

Serves  bidrec.training.machine, where training.cuda_graphs asks for it

A small step on a fast GPU waits for the CPU that launches its kernels. torch.compile records them once and replays the
record, which holds for one number of rows. A step has as many distinct notices and companies as it has, so the rows are
filled up to one of a few sizes, and what the filling gave is cut off again: zeros go in, no gradient comes back.

Only in steps. All notices and companies pass in blocks whose kernels take longer than their launch; and a record is
made for what was replayed before it, so that hundreds of blocks after a step would be as many records.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from bidrec.config import Training

SIZES = 8
"""Sizes between a power of two and the next: an eighth more rows at most, and some hundred records for all sizes."""


def record(network: nn.Module) -> None:
    """From here on run the layers as graphs where gradients are asked for; their parameters and their names stay."""
    launched = network.forward
    replayed = torch.compile(launched, mode="reduce-overhead", dynamic=True, isolate_recompiles=True)

    def forward(*rows: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return launched(*rows)
        return replayed(*map(filled_up, rows))[: len(rows[0])]

    network.forward = forward  # type: ignore[method-assign]


def start_step(settings: Training) -> None:
    """Before a step: what graphs returned in the one before is read no more, and its memory may be taken again."""
    if settings.cuda_graphs:  # asked without, it would import the compiler
        torch.compiler.cudagraph_mark_step_begin()


def filled_up(row_BF: Tensor) -> Tensor:
    """The rows (B, F), and rows of zeros up to the next size."""
    return functional.pad(row_BF, (0, 0, 0, size_for(len(row_BF)) - len(row_BF)))


def size_for(rows: int) -> int:
    """The least size of at least `rows`: up to SIZES all of them, then so many between a power of two and the next."""
    step = max(1, 2 ** ((rows - 1).bit_length() - 1) // SIZES)
    return -(-rows // step) * step
