"""One training in many processes: each computes a part of every batch's vectors.

Serves  the loop and the steps; in one process alone (processes.py), every function here hands back what it got

All processes hold the whole training set and the whole model, but for the tables that bidrec.training.sharding shares
out. They draw the same candidates, and take the same step: the towers run over a part of the batch's notices and
companies each, the vectors are gathered, and the gradients added up. The first process alone does what is not training,
and writes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import torch
from torch import Tensor, distributed

from bidrec.model.shared_rows import parts_of_all
from bidrec.training.processes import is_first, rank, size


def part(count_: int) -> slice:
    """This process's part of `count_` things: parts differ by one at most."""
    least, more = divmod(count_, size())
    begin = rank() * least + min(rank(), more)
    return slice(begin, begin + least + (rank() < more))


def sizes(count_: int) -> list[int]:
    """How many each process has."""
    least, more = divmod(count_, size())
    return [least + (process < more) for process in range(size())]


def whole(own: Tensor, rows_of: list[int]) -> Tensor:
    """(rows of all, ...): every process's rows, one after the other, in the first one's host memory; the others, which
    must call it too, get none. `rows_of`: how many each has."""
    own = own.detach().cpu()
    if not is_first():
        if len(own):
            distributed.send(own.contiguous(), 0)
        return own[:0]
    found = own.new_empty(sum(rows_of), *own.shape[1:])
    first_part, *others = found.split(rows_of)
    first_part.copy_(own)
    for process, rows in enumerate(others, start=1):
        if len(rows):
            distributed.recv(rows, process)
    return found


def own_rows(all_rows: Tensor, rows_of: list[int]) -> Tensor:
    """This process's part of what `whole` makes."""
    return all_rows.split(rows_of)[rank()]


def start_step(seed: int, step: int) -> None:
    """Before a step: what a process draws for itself in it depends on nothing but this and its rank."""
    global _own_seeds
    _own_seeds = count(((seed * 1_000_003 + step << 24) + (rank() << 8)) % 2**64)  # torch takes no larger one


_own_seeds = count()


def gathered(compute: Callable[[Any], Tensor], rows: Any) -> Tensor:
    """`compute(rows)` (N, D), each process computing a part of the rows: anything with a length and a `split`.

    The gradient that reaches a process's part is the sum of what all processes' losses ask for.
    """
    own_MD = own(compute, rows)
    if size() == 1:
        return own_MD
    gathered_ND: Tensor = _Gather.apply(own_MD, len(rows))
    return gathered_ND


def own(compute: Callable[[Any], Tensor], rows: Any) -> Tensor:
    """`compute(rows)` (M, D) of this process's part of the rows."""
    if size() == 1:
        return compute(rows)
    with _own_randomness():
        return compute(rows.split(sizes(len(rows)))[rank()])


@contextmanager
def _own_randomness() -> Iterator[None]:
    """Dropout's masks are a process's own; everything outside is drawn the same by all, as by one process alone."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(next(_own_seeds))
        yield


class _Gather(torch.autograd.Function):
    """The parts (M, D) of all processes, one after the other (N, D); for any backend, parts of unequal size."""

    @staticmethod
    def forward(ctx: Any, own_MD: Tensor, rows: int) -> Tensor:
        return torch.cat(parts_of_all(own_MD, sizes(rows)))

    @staticmethod
    def backward(ctx: Any, gradient_ND: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        total_ND = gradient_ND.contiguous().clone()
        distributed.all_reduce(total_ND)
        return total_ND[part(len(total_ND))], None


def total(loss: Tensor) -> Tensor:
    """The sum of the processes' losses (), without a gradient."""
    loss = loss.detach()
    if size() > 1:
        distributed.all_reduce(loss)
    return loss
