"""One training in many processes, started by torchrun: each computes a part of every batch's vectors.

Serves  the loop and the steps; without torchrun there is one process, and every function here hands back what it got

All processes hold the whole training set and the whole model, but for the tables that bidrec.training.sharding shares
out. They draw the same candidates, and take the same step: the towers run over a part of the batch's notices and
companies each, the vectors are gathered, and the gradients added up. The first process alone does what is not training,
and writes.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from bidrec import log
from bidrec.errors import BidrecError, Interrupted
from bidrec.model.shared_rows import parts_of_all
from bidrec.training.machine import choose_device

PATIENCE = timedelta(hours=24)
"""How long processes wait for one another: the first one builds the training set meanwhile."""
Found = TypeVar("Found")


@contextmanager
def processes(device: str) -> Iterator[None]:
    """Join the processes that torchrun started, if it did; `device` is training.device.

    Raises DependencyDown (69) where a GPU is asked for that is not there.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        if device == "cuda":
            choose_device(device)  # before hours of work on what the GPU is then not there for
        yield
        return
    backend = "gloo"
    if choose_device(device).type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        backend = "cpu:gloo,cuda:nccl"  # what is agreed upon lies on the host, so that no GPU is waited for
    distributed.init_process_group(backend, timeout=PATIENCE)
    if not is_first():
        log.only_warnings()
    try:
        yield
    finally:
        distributed.destroy_process_group()


def other_process() -> bool:
    """Whether torchrun started this one beside the first: also before and after `processes`."""
    return os.environ.get("RANK", "0") != "0"


def size() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_first() -> bool:
    return rank() == 0


def first(work: Callable[[], Found]) -> Found:
    """`work`, done by the first process; the others wait for it, get what it returned or raise what it raised."""
    if size() == 1:
        return work()
    outcome: list[Any] = [None, None]
    try:
        if is_first():
            outcome[0] = work()
    except BaseException as error:
        outcome[1] = error if isinstance(error, BidrecError) else BidrecError(f"the first process failed: {error!r}")
        if isinstance(error, KeyboardInterrupt):
            outcome[1] = Interrupted("stopped by a signal", hint="run the same command again")
        raise
    finally:
        distributed.broadcast_object_list(outcome, src=0, device=torch.device("cpu"))
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def agreed(*asked: bool) -> tuple[bool, ...]:
    """Each is true in all processes where it is in one."""
    if size() == 1:
        return asked
    flags = torch.tensor(asked, dtype=torch.uint8)
    distributed.all_reduce(flags, distributed.ReduceOp.MAX)
    return tuple(bool(flag) for flag in flags)


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
    _own_seeds = count((seed * 1_000_003 + step << 24) + (rank() << 8))


_own_seeds = count()


def gathered(compute: Callable[[Any], Tensor], rows: Any) -> Tensor:
    """`compute(rows)` (N, D), each process computing a part of the rows: anything with a length and a `split`.

    The gradient that reaches a process's part is the sum of what all processes' losses ask for.
    """
    if size() == 1:
        return compute(rows)
    with _own_randomness():
        own_MD = compute(rows.split(sizes(len(rows)))[rank()])
    gathered_ND: Tensor = _Gather.apply(own_MD, len(rows))
    return gathered_ND


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
