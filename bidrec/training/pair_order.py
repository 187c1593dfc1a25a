"""In which order an epoch learns from pairs, or whole notices: batches that are worked out when they are asked for.

Serves  PairSteps: the numbers of the pairs in each batch
"""

import torch
from torch import Tensor

from bidrec.model.rows import offsets
from bidrec.training.permutation import Order
from bidrec.training.stream import Window

LEAST_NOTICES = 8
"""Notices a batch has at least: one with more bids than that allows is learned from in several pieces."""


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

    def bounds(self, begin: int, end: int) -> tuple[int, int]:
        """The pairs [begin, end) from the first of these neighbouring pieces to the last."""
        return int(self.begin[begin]), int(self.begin[end - 1] + self.lengths[end - 1])

    def epoch(self, generator: torch.Generator, window: int = 0) -> "Epoch":
        """All pieces in a random order; `window` of them are shuffled together, which are random runs of neighbours, 0:
        all."""
        return Epoch(self, Order(len(self), window, generator))


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
            order = self._pieces_at(at * pieces.batch_size, end)
            return list(pieces.begin.index_select(0, order).split(pieces.batch_size))
        bounds: list[int] = self.begins[at : last + 1].tolist()
        order = self._pieces_at(bounds[0], bounds[-1])
        begin, lengths = pieces.begin.index_select(0, order), pieces.lengths.index_select(0, order)
        end_of = lengths.cumsum(0, dtype=torch.int32)
        pairs = torch.repeat_interleave(begin - end_of + lengths, lengths)
        pairs += torch.arange(len(pairs), dtype=torch.int32, device=pairs.device)
        ends = end_of[[bound - bounds[0] - 1 for bound in bounds[1:]]].tolist()
        return list(pairs.tensor_split(ends[:-1]))

    def windows(self) -> list[Window]:
        """What is shuffled together: the runs of pairs, and the batch that each window begins in."""
        return [
            Window(self._batch_of(first), [self.pieces.bounds(run.begin, run.end) for run in runs])
            for runs, first in zip(self.order.windows, self.order.begins, strict=False)
        ]

    def _pieces_at(self, begin: int, end: int) -> Tensor:
        return torch.from_numpy(self.order.part(begin, end)).to(self.pieces.begin.device)

    def _begins(self) -> Tensor:
        """(batches + 1,) the place of each batch's first piece: a piece is in the batch that its last pair falls in."""
        lengths = self.pieces.lengths.index_select(0, self._pieces_at(0, len(self.pieces)))
        batch = (lengths.cumsum(0) - 1) // self.pieces.batch_size
        sizes = torch.bincount(batch)
        return offsets(sizes[sizes > 0]).cpu()

    def _batch_of(self, place: int) -> int:
        if self.begins is None:
            return place // self.pieces.batch_size
        return int(torch.searchsorted(self.begins, place, right=True)) - 1


def _cut(begin: Tensor, lengths: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The pieces, those longer than `most` in parts."""
    if not int((lengths > most).any()):
        return begin, lengths
    parts = (lengths + most - 1) // most
    owner = torch.repeat_interleave(torch.arange(len(lengths), device=begin.device), parts)
    part = torch.arange(len(owner), device=begin.device) - offsets(parts)[owner]
    within = (part * most).int()
    return begin[owner] + within, (lengths[owner] - within).clamp(max=most)
