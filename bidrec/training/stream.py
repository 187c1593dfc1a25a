"""A training set larger than memory: read from disk a window ahead, shuffled within the window.

Reads   the mapped arrays of runs/ID/training_set

A window is a few runs of neighbouring pairs. While the steps learn from one, the system is asked for the next: it reads
in the background, and forgets the oldest pages when it needs the room. No thread of our own waits for a disk.
"""

import mmap
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bidrec.training_set.arrays import TrainingSet


class Window(NamedTuple):
    """The runs of pairs [begin, end) that are learned from together, and the batch of the epoch they begin in."""

    batch: int
    runs: list[tuple[int, int]]


class Stream:
    """Asks for the pages of pairs and of their notices before a step does."""

    def __init__(self, ts: TrainingSet) -> None:
        self.pair_notice = ts.pair_notice
        self.of_pairs = [ts.pair_notice, ts.pair_version]
        self.of_notices: list[npt.NDArray[Any]] = [ts.notice_published_at, ts.notice.dense, ts.notice.ages]
        fields = ts.notice.attribute_lengths.shape[1]
        if fields and len(ts.notice.attribute_values) == fields * ts.notice.rows:
            self.of_notices.append(ts.notice.attribute_values.reshape(ts.notice.rows, fields))
        self.windows: list[Window] = []

    def start(self, windows: list[Window]) -> None:
        """An epoch's windows, in their order; its first is asked for at once."""
        self.windows = windows
        self.reach(0)

    def reach(self, batch: int) -> None:
        """The steps have come to this batch: where a window begins with it, ask for the next one, and for the pages of
        its own that the system has forgotten since."""
        while self.windows and self.windows[0].batch <= batch:
            for begin, end in [run for window in self.windows[:2] for run in window.runs]:
                self._ask(begin, end)
            self.windows = self.windows[1:]

    def _ask(self, begin: int, end: int) -> None:
        first, last = int(self.pair_notice[begin]), int(self.pair_notice[end - 1])
        for array in self.of_pairs:
            will_need(array, begin, end)
        for array in self.of_notices:
            will_need(array, first, last + 1)


def will_need(array: npt.NDArray[Any], begin: int, end: int) -> None:
    """Ask for the pages of the rows [begin, end) of a mapped array; nothing waits for them."""
    mapped: Any = array
    while isinstance(mapped, np.ndarray):
        mapped = mapped.base
    row = array.strides[0] if array.size else 0
    if not isinstance(mapped, mmap.mmap) or not row:
        return
    header = len(mapped) - array.nbytes
    start = (header + begin * row) // mmap.PAGESIZE * mmap.PAGESIZE
    with suppress(OSError):
        mapped.madvise(mmap.MADV_WILLNEED, start, header + end * row - start)
