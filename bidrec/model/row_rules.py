"""How the rows of a table that a batch has read move, by the sums of their gradients; what a rule remembers of them.

rowwise_adagrad  keeps one number a row: the running sum of its gradients' mean squares
sparse_adam      keeps Adam's two moments, which stand still while a row is not read (torch.optim.SparseAdam's rule)

Serves  bidrec.model.tables, inside the backward pass
"""

from functools import partial

import torch
from torch import Tensor

from bidrec.model.adam import EPSILON, SQUARE_DECAY, adam

State = dict[str, Tensor]
"""What a rule remembers of a table between steps, changed in place."""


def new_state(rule: str, weight: Tensor) -> State:
    """Of a table `weight` (R, D) that has not learned yet: float32, whatever the weights are."""
    zeros = partial(torch.zeros_like, dtype=torch.float32)
    if rule == "rowwise_adagrad":
        return {"step": torch.zeros(()), "sum": zeros(weight[:, 0])}
    return {"step": torch.zeros(()), "mean": zeros(weight), "square": zeros(weight)}


def rowwise_adagrad(weight: Tensor, state: State, learning_rate: float, rows: Tensor, gradient_RD: Tensor) -> None:
    """Move the `rows` (R,) of `weight` by the sums of their gradients: the same ones for a row that is there twice."""
    total_R = state["sum"][rows] + gradient_RD.square().mean(1)
    state["sum"][rows] = total_R
    change_RD = gradient_RD * (-learning_rate / (total_R.sqrt() + EPSILON))[:, None]
    _put(weight, rows, weight.index_select(0, rows).float() + change_RD)


def sparse_adam(weight: Tensor, state: State, learning_rate: float, rows: Tensor, gradient_RD: Tensor) -> None:
    """Move the `rows` (R,) of `weight`, as above, by their moments, corrected for their start by the table's steps."""
    tables = weight, state["mean"], state["square"]
    read = [table.index_select(0, rows).float() for table in tables]
    step = state["step"].add_(1).item()
    # Where the kernel wants it, a GPU's queue not waited for.
    steps = state["step"] if weight.device.type == "cpu" else torch.full((), step, device=weight.device)
    # SparseAdam adds its epsilon before the root is corrected, Adam's kernel after.
    epsilon = EPSILON / (1 - SQUARE_DECAY**step) ** 0.5
    adam(*([each] for each in (read[0], gradient_RD, *read[1:], steps)), learning_rate, epsilon=epsilon)
    for table, value_RD in zip(tables, read, strict=True):
        _put(table, rows, value_RD)


def _put(table: Tensor, rows: Tensor, value_RD: Tensor) -> None:
    """Write rows (R,), float32, the same values to one that is there twice; a table of half the digits takes them
    rounded by chance."""
    if table.dtype != torch.float32:
        value_RD = stochastically_rounded(value_RD)
    elif table.shape[1] % 4 == 0:
        # torch copies them number by number: in half the time, if four are one.
        table, value_RD = table.view(torch.complex128), value_RD.view(torch.complex128)
    table.index_copy_(0, rows, value_RD)


def stochastically_rounded(value: Tensor) -> Tensor:
    """float32 to one of its two neighbours in bfloat16, the nearer the likelier, so that the mean is the value itself.

    Rounded to the nearest, a change below a 256th of a weight would always be lost (Gupta et al., Deep Learning with
    Limited Numerical Precision, 2015). A bfloat16 is a float32's upper half: a random lower half carries, or does not.
    """
    bits = value.contiguous().view(torch.int32)
    carried = bits + torch.randint_like(bits, 1 << 16)
    return (carried & -(1 << 16)).view(torch.float32).bfloat16()


RULES = {"rowwise_adagrad": rowwise_adagrad, "sparse_adam": sparse_adam}
