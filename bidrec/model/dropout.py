"""Dropout whose masks cost little on a CPU: torch's kernel makes one number a value there, a tenth of a small step.

A mask is compared from 16 random bits a value, four values to a number of torch's generator; what is kept is scaled by
the share that those bits keep, so that the mean stays what it is (Srivastava et al., "Dropout", 2014).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

_VALUES = 2**16
_LEAST = torch.iinfo(torch.int16).min


class Dropout(nn.Module):
    """As nn.Dropout does. On a CPU `share` is dropped to a precision of 2**-16."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, kept."""
        if not self.training or not self.share:
            return x
        if x.device.type != "cpu" or torch.compiler.is_compiling():  # the compiler writes a kernel of its own
            return functional.dropout(x, self.share)
        dropped = min(_VALUES - 1, round(self.share * _VALUES))
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(torch.iinfo(torch.int64).min, None)
        # In place, 0 or 1 of 16 bits: a quarter of the time that a comparison to a bool takes, and its copy.
        kept = bits.view(torch.int16)[: x.numel()].view(x.shape).ge_(_LEAST + dropped)
        return x * kept.to(x.dtype).mul_(_VALUES / (_VALUES - dropped))

    def extra_repr(self) -> str:
        return f"share={self.share}"
