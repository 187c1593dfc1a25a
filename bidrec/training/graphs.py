"""A tower's layers as CUDA graphs: some ten kernels, forward or backward, launched in one call.

Serves  bidrec.training.machine, where training.cuda_graphs asks for it

A small step on a fast GPU waits for the CPU that launches its kernels. torch.compile records them once and replays the
record, which holds for one number of rows: so they are filled up to one of a few sizes (bidrec.training.filling).

Only in steps. All notices and companies pass in blocks whose kernels take longer than their launch; and a record is
made for what was replayed before it, so that hundreds of blocks after a step would be as many records.
"""

from collections.abc import Callable
from types import FunctionType, MethodType

import torch
from torch import Tensor, nn

from bidrec.config import Training
from bidrec.training.filling import fill_up

SIZES = 8
"""Sizes between a power of two and the next: an eighth more rows at most, and some hundred records for all sizes."""


def record(network: nn.Module) -> None:
    """From here on run the layers as graphs where gradients are asked for; their parameters and their names stay."""
    fill_up(network, compiled(network, "reduce-overhead"), SIZES)


def compiled(network: nn.Module, mode: str | None = None) -> Callable[..., Tensor]:
    """The layers' forward pass, compiled once for any number of rows: each step has as many as it has.

    By a copy of its code, as if it stood in this file: torch keeps what it compiled by the code, which all layers of a
    kind share, and keeps eight; torch's own it runs inside other code, shared too. (Module.compile leaves torch's own
    modules as they are.)
    """
    shared = type(network).forward
    own = FunctionType(shared.__code__.replace(co_filename=__file__), shared.__globals__, closure=shared.__closure__)
    return torch.compile(MethodType(own, network), mode=mode, dynamic=True)


def start_step(settings: Training) -> None:
    """Before a step: what graphs returned in the one before is read no more, and its memory may be taken again."""
    if settings.cuda_graphs:  # asked without, it would import the compiler
        torch.compiler.cudagraph_mark_step_begin()
