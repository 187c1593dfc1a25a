"""Batches on their way to a GPU that the training set does not lie on: one group in use, the next one under way.

Serves  PairSteps where training.stream_notices leaves the set on the host

The copies have a stream of their own and start from pinned memory, so that neither the GPU's steps nor the host wait
for them; the steps wait for the group that they begin, which was sent a group earlier. No thread: while the GPU works
through the steps it was given, the host gathers.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bidrec.model.rows import moved


class Sent(NamedTuple):
    group: list[Any]
    arrived: torch.cuda.Event


class CopyStream:
    """Double buffering to `device`, a GPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)
        self.under_way: dict[int, Sent] = {}

    def take(self, at: int, following: int | None, gather: Callable[[int], list[Any]]) -> list[Any]:
        """The group that begins `at` this batch, on the device, while the `following` one is sent; None: there is none.

        `gather(at)` makes a group on the host: dataclasses of tensors, or of such dataclasses.
        """
        sent = self.under_way.pop(at, None) or self._send(gather(at))
        self.under_way.clear()
        if following is not None:
            self.under_way[following] = self._send(gather(following))
        steps = torch.cuda.current_stream(self.device)
        steps.wait_event(sent.arrived)

        def read_by_steps(tensor: Tensor) -> Tensor:
            tensor.record_stream(steps)  # else the next copy might get its memory while steps still read it
            return tensor

        return [moved(batch, read_by_steps) for batch in sent.group]

    def forget(self) -> None:
        """Another epoch begins: what is under way is not asked for."""
        self.under_way.clear()

    def _send(self, group: list[Any]) -> Sent:
        with torch.cuda.stream(self.stream):
            there = [moved(batch, self._copy) for batch in group]
            return Sent(there, self.stream.record_event())

    def _copy(self, tensor: Tensor) -> Tensor:
        return tensor.contiguous().pin_memory().to(self.device, non_blocking=True)
