"""The processes of one training, started by torchrun: who is the first, and what all of them agree on.

Serves  the flow, whose steps the first process does for all, and the training (distributed.py: what each computes)

Without torchrun there is one process, and every function here hands back what it got. PyTorch is imported only where
there are more: what comes before the training need not wait for it.
"""

import gc
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

from bidrec.errors import BidrecError, DependencyDown, Interrupted
from bidrec.operations import log

PATIENCE = timedelta(hours=24)
"""How long processes wait for one another: the first one builds the training set meanwhile."""
Found = TypeVar("Found")


class _Place(NamedTuple):
    rank: int
    size: int


_ALONE = _Place(0, 1)
_place = _ALONE


@contextmanager
def joined(device: str) -> Iterator[None]:
    """Join the processes that torchrun started, if it did; `device` is training.device.

    Raises DependencyDown (69) where a GPU is asked for that is not there, or more processes than there are.
    """
    global _place
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        if device == "cuda":
            from bidrec.training.machine import choose_device

            choose_device(device)  # before hours of work on what the GPU is then not there for
        yield
        return
    _join(device)
    from torch import distributed

    _place = _Place(distributed.get_rank(), distributed.get_world_size())
    if not is_first():
        log.only_warnings()
    try:
        yield
    except BaseException as error:
        # The group ends with whatever refers to it last. Were that the model, in a frame of this error or of one behind
        # it, its thread would be waited for with Python's lock held, which that thread may want: a wait without an end.
        behind: BaseException | None = error
        while behind:
            traceback.clear_frames(behind.__traceback__)
            behind = behind.__cause__ or behind.__context__
        gc.collect()
        raise
    finally:
        _place = _ALONE
        distributed.destroy_process_group()


def _join(device: str) -> None:
    import torch

    from bidrec.training.machine import choose_device

    backend = "gloo"
    if choose_device(device).type == "cuda":
        own, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if own >= gpus:
            raise DependencyDown(
                f"only {gpus} GPU{'s' * (gpus > 1)} here, and none for process {own + 1} of this machine",
                hint="start as many processes as there are GPUs (torchrun --nproc-per-node gpu)",
            )
        torch.cuda.set_device(own)
        backend = "cpu:gloo,cuda:nccl"  # what is agreed upon lies on the host, so that no GPU is waited for
    torch.distributed.init_process_group(backend, timeout=PATIENCE)


def other_process() -> bool:
    """Whether torchrun started this one beside the first: also before and after they have `joined`."""
    return os.environ.get("RANK", "0") != "0"


def size() -> int:
    return _place.size


def rank() -> int:
    return _place.rank


def is_first() -> bool:
    return _place.rank == 0


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
        _broadcast(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def _broadcast(values: list[Any]) -> None:
    import torch

    torch.distributed.broadcast_object_list(values, src=0, device=torch.device("cpu"))


def agreed(*asked: bool) -> tuple[bool, ...]:
    """Each is true in all processes where it is in one."""
    if size() == 1:
        return asked
    import torch

    flags = torch.tensor(asked, dtype=torch.uint8)
    torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MAX)
    return tuple(bool(flag) for flag in flags)
