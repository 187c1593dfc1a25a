"""Batches on their way to a GPU that the training set does not lie on: one group in use, the next one under way.

Serves  PairSteps where training.stream_notices leaves the set on the host

The copies have a stream of their own and start from pinned memory, so that neither the GPU's steps nor the host wait
for them; the steps wait for the group that they begin, which was sent a group earlier. No thread: while the GPU works
through the steps it was given, the host gathers.
"""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Sent(NamedTuple):
    group: list[Any]
    arrived: torch.cuda.Event | None


class CopyStream:
    """Double buffering to `device`; on a CPU the groups are handed on as they are."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.under_way: dict[int, Sent] = {}

    def take(self, at: int, following: int | None, gather: Callable[[int], list[Any]]) -> list[Any]:
        """The group that begins `at` this batch, on the device, while the `following` one is sent; None: there is none.

        `gather(at)` makes a group on the host: dataclasses of tensors, or of such dataclasses.
        """
        sent = self.under_way.pop(at, None) or self._send(gather(at))
        self.under_way.clear()
        if following is not None:
            self.under_way[following] = self._send(gather(following))
        if sent.arrived is not None:
            steps = torch.cuda.current_stream(self.device)
            steps.wait_event(sent.arrived)
            for batch in sent.group:
                for tensor in _tensors(batch):
                    tensor.record_stream(steps)  # else the next copy might get its memory while steps still read it
        return sent.group

    def forget(self) -> None:
        """Another epoch begins: what is under way is not asked for."""
        self.under_way.clear()

    def _send(self, group: list[Any]) -> Sent:
        if self.stream is None:
            return Sent(group, None)
        with torch.cuda.stream(self.stream):
            there = [_each(batch, self._copy) for batch in group]
            return Sent(there, self.stream.record_event())

    def _copy(self, tensor: Tensor) -> Tensor:
        return tensor.contiguous().pin_memory().to(self.device, non_blocking=True)


def _each(batch: Any, copy: Callable[[Tensor], Tensor]) -> Any:
    """The batch with all its tensors copied."""
    if isinstance(batch, Tensor):
        return copy(batch)
    if not is_dataclass(batch) or isinstance(batch, type):
        return batch
    return replace(batch, **{field.name: _each(getattr(batch, field.name), copy) for field in fields(batch)})


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from _tensors(getattr(value, field.name))
