"""In which order an epoch learns from pairs, or whole notices: batches that are worked out when they are asked for.

Serves  PairSteps: the numbers of the pairs in each batch
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from bidrec.model.rows import offsets
from bidrec.training.permutation import Permutation, draw_keys
from bidrec.training.stream import Window

LEAST_NOTICES = 8
"""Notices a batch has at least: one with more bids than that allows is learned from in several pieces."""
RUNS = 8
"""Runs of neighbouring notices that are shuffled together where not all are."""


class Pieces:
    """The pairs to learn, cut into pieces: a notice's bids one after another, or some of them where it has many."""

    def __init__(self, learned_M: Tensor, pair_notice_M: Tensor, batch_size: int, whole: bool = True) -> None:
        """`learned_M` (M,) bool: which pairs, whose notices `pair_notice_M` ascend. Batches have about `batch_size`.
        Not `whole`: each pair is a piece of its own, and a batch has exactly that many."""
        self.batch_size, self.whole = batch_size, whole
        if not whole:
            self.begin = learned_M.nonzero().flatten().int()
            self.lengths = self.begin.new_ones(1).expand(len(self.begin))
            return
        starts_M = learned_M.clone()
        starts_M[1:] &= ~learned_M[:-1] | (pair_notice_M[1:] != pair_notice_M[:-1])
        begin = starts_M.nonzero().flatten()
        learned = learned_M.cumsum(0, dtype=torch.int32)
        before = learned[begin] - 1
        lengths = torch.cat([before, learned[-1:]]).diff()
        self.begin, self.lengths = _cut(begin.int(), lengths, max(1, batch_size // LEAST_NOTICES))

    def __len__(self) -> int:
        return len(self.begin)

    def epoch(self, generator: torch.Generator, window: int = 0) -> "Epoch":
        """All pieces in a random order; `window` of them are shuffled together, which are random runs of neighbours, 0:
        all."""
        if window:
            return Epoch(self, Windowed(len(self), window, generator))
        return Epoch(self, Permutation(len(self), draw_keys(generator)[0]))


class Order(Protocol):
    """Of the pieces."""

    def part(self, begin: int, end: int, device: torch.device) -> Tensor: ...


class Run(NamedTuple):
    """Neighbouring pieces."""

    begin: int
    end: int


class Windowed:
    """An order of random runs, some of which make a window, in which their pieces are shuffled."""

    def __init__(self, size: int, window: int, generator: torch.Generator) -> None:
        length = max(1, window // RUNS)
        first = torch.randperm(-(-size // length), generator=generator) * length
        self.windows = [[Run(i, min(i + length, size)) for i in some.tolist()] for some in first.split(RUNS)]
        self.begins = offsets(
            torch.tensor([sum(run.end - run.begin for run in runs) for runs in self.windows])
        ).tolist()
        self.keys = draw_keys(generator, len(self.windows))

    def part(self, begin: int, end: int, device: torch.device) -> Tensor:
        """The pieces (end - begin,) int64 at these places."""
        parts = []
        for runs, keys, first, last in zip(self.windows, self.keys, self.begins, self.begins[1:], strict=False):
            if first < end and begin < last:
                within = Permutation(last - first, keys).part(max(begin, first) - first, min(end, last) - first, device)
                parts.append(_pieces_of(runs, within))
        return torch.cat(parts)


class Epoch:
    """The batches of one epoch, each of whole pieces."""

    def __init__(self, pieces: Pieces, order: Order) -> None:
        self.pieces, self.order = pieces, order
        self.begins = self._begins() if pieces.whole else None

    def __len__(self) -> int:
        if self.begins is None:
            return -(-len(self.pieces) // self.pieces.batch_size)
        return len(self.begins) - 1

    def batches(self, at: int, count: int = 1) -> list[Tensor]:
        """The numbers (P,) int32 of the pairs in each of up to `count` batches, the epoch's batch `at` first."""
        pieces, last = self.pieces, min(at + count, len(self))
        if self.begins is None:
            end = min(last * pieces.batch_size, len(pieces))
            order = self.order.part(at * pieces.batch_size, end, pieces.begin.device)
            return list(pieces.begin.index_select(0, order).split(pieces.batch_size))
        bounds: list[int] = self.begins[at : last + 1].tolist()
        order = self.order.part(bounds[0], bounds[-1], pieces.begin.device)
        begin, lengths = pieces.begin.index_select(0, order), pieces.lengths.index_select(0, order)
        end_of = lengths.cumsum(0, dtype=torch.int32)
        pairs = torch.repeat_interleave(begin - end_of + lengths, lengths)
        pairs += torch.arange(len(pairs), dtype=torch.int32, device=pairs.device)
        ends = end_of[[bound - bounds[0] - 1 for bound in bounds[1:]]].tolist()
        return list(pairs.tensor_split(ends[:-1]))

    def windows(self) -> list[Window]:
        """What is shuffled together, where not all is: the runs of pairs, and the batch that each window begins in."""
        if not isinstance(self.order, Windowed):
            return []
        begin, last = self.pieces.begin, self.pieces.begin + self.pieces.lengths
        return [
            Window(self._batch_of(first), [(int(begin[run.begin]), int(last[run.end - 1])) for run in runs])
            for runs, first in zip(self.order.windows, self.order.begins, strict=False)
        ]

    def _begins(self) -> Tensor:
        """(batches + 1,) the place of each batch's first piece: a piece is in the batch that its last pair
        falls into."""
        lengths = self.pieces.lengths.index_select(0, self.order.part(0, len(self.pieces), self.pieces.begin.device))
        batch = (lengths.cumsum(0) - 1) // self.pieces.batch_size
        sizes = torch.bincount(batch)
        return offsets(sizes[sizes > 0]).cpu()

    def _batch_of(self, place: int) -> int:
        if self.begins is None:
            return place // self.pieces.batch_size
        return int(torch.searchsorted(self.begins, place, right=True)) - 1


def _pieces_of(runs: list[Run], place: Tensor) -> Tensor:
    """The pieces at these places among the runs, which follow each other there."""
    begin = torch.tensor([run.begin for run in runs], device=place.device)
    before = offsets(torch.tensor([run.end - run.begin for run in runs], device=place.device))
    run = torch.searchsorted(before, place, right=True) - 1
    return begin[run] + place - before[run]


def _cut(begin: Tensor, lengths: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The pieces, those longer than `most` in parts."""
    if not int((lengths > most).any()):
        return begin, lengths
    parts = (lengths + most - 1) // most
    owner = torch.repeat_interleave(torch.arange(len(lengths), device=begin.device), parts)
    part = torch.arange(len(owner), device=begin.device) - offsets(parts)[owner]
    within = (part * most).int()
    return begin[owner] + within, (lengths[owner] - within).clamp(max=most)
