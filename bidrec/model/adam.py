"""Adam's step in one kernel of torch's: one pass over weights and moments instead of seven.

torch.optim.Adam calls the same one, and around it asks each weight in each step for what stays as it is and counts each
one's steps alone: a twentieth of a small step on a CPU. Its functions cannot be had without.
"""

import torch
from torch import Tensor

MEAN_DECAY, SQUARE_DECAY = 0.9, 0.999
"""torch's own defaults."""
EPSILON = 1e-8


@torch.no_grad()
def adam(
    weights: list[Tensor],
    gradients: list[Tensor],
    means: list[Tensor],
    squares: list[Tensor],
    steps: list[Tensor],
    learning_rate: float,
    *,
    weight_decay: float = 0.0,
    epsilon: float = EPSILON,
) -> None:
    """Move the weights and both moments in place (Kingma and Ba, 2015): all float32, on one device, as are the steps
    (), which are counted already, this one too. `weight_decay` is added to the gradients, times the weights."""
    if not weights:
        return  # the kernel wants one
    torch._fused_adam_(
        weights,
        gradients,
        means,
        squares,
        [],
        steps,
        lr=learning_rate,
        beta1=MEAN_DECAY,
        beta2=SQUARE_DECAY,
        weight_decay=weight_decay,
        eps=epsilon,
        amsgrad=False,
        maximize=False,
    )
