"""A learned temperature within bounds."""

from typing import Any

import torch
from torch import Tensor


class _Bounded(torch.autograd.Function):
    """A clamp that can be left again: beyond a bound, only the gradient that leads back inside passes."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(value)
        ctx.low, ctx.high = low, high
        return value.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (value,) = ctx.saved_tensors
        outward = ((value < ctx.low) & (gradient > 0)) | ((value > ctx.high) & (gradient < 0))
        return gradient.masked_fill(outward, 0), None, None


def bounded_scale(log_scale: Tensor, coldest: float, hottest: float) -> Tensor:
    """1 / temperature (), with the temperature kept within [coldest, hottest]; `log_scale` () is the log of it, free.

    A plain clamp has no gradient beyond its bounds: a temperature that overshot once would stay there for good.
    """
    scale: Tensor = _Bounded.apply(log_scale.exp(), 1 / hottest, 1 / coldest)
    return scale
