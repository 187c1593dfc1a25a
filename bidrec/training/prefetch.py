"""Batches gathered beside the steps, where these leave a core: one group in use, the next one under way.

Serves  PairSteps on a CPU, as copy_stream.py does where a GPU steps

A gather reads rows that are in no cache, and its arithmetic is none: on a core of its own it costs the steps nothing.
One thread, and what it makes is the same whoever makes it: which batches there are follows from seed and epoch alone.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch


class Prefetch:
    """Gathers the group after the one in use."""

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(1, "prefetch", initializer=torch.set_num_threads, initargs=(1,))
        self.under_way: dict[int, Future[list[Any]]] = {}

    def take(self, at: int, following: int | None, gather: Callable[[int], list[Any]]) -> list[Any]:
        """The group that begins `at` this batch, while the `following` one is gathered; None: there is none. Raises
        what `gather` raises, when its group is asked for."""
        waiting = self.under_way.pop(at, None)
        self.forget()  # a group that is not the one asked for
        group = waiting.result() if waiting else gather(at)
        if following is not None:
            self.under_way[following] = self.thread.submit(gather, following)
        return group

    def forget(self) -> None:
        """Another epoch begins: what is under way is not asked for, and reads nothing more when this returns."""
        for waiting in self.under_way.values():
            waiting.cancel() or waiting.exception()
        self.under_way.clear()
