"""Batches of bids for the `static` model: pairs, or whole notices, in a seeded order, gathered some steps ahead.

A notice's tower runs once for all its bids in a batch, a company's once for all it bids on.
Each gather costs some microseconds whatever its size, a good part of a small step: so a run of batches shares them.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from bidrec.model.rows import RowBatch, offsets
from bidrec.training.resident import Resident
from bidrec.training.stream import Window

AHEAD_PAIRS = 4096
"""Pairs that are gathered at once, or one batch where that has more."""
LEAST_NOTICES = 8
"""Notices a batch has at least: one with more bids than that allows is learned from in several pieces."""
RUNS = 8
"""Runs of neighbouring notices that are shuffled together where not all are."""
_BATCH_SHIFT = 32


@dataclass(frozen=True)
class PairBatch:
    """P bids on U notices, by the V distinct company rows in them."""

    pair_P: Tensor
    notice_U: Tensor
    notice: RowBatch
    company: RowBatch
    notice_of_P: Tensor
    company_of_P: Tensor
    """Each bid's place among the U notices and the V company rows."""
    log_count_V: Tensor
    """The log of how many of the bids a company row stands for."""


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

    def batches(self, generator: torch.Generator, window: int = 0) -> tuple[list[Tensor], list[Window]]:
        """All pairs in a random order of the pieces, as batches of whole pieces: numbers (P,) of pairs, int32.

        `window` pieces are shuffled together, which are random runs of neighbours, and the windows are named; 0: all.
        """
        order = torch.randperm(len(self), generator=generator, dtype=torch.int32).to(self.begin.device)
        runs = torch.zeros(0)
        if window:
            run = max(1, window // RUNS)
            runs = torch.randperm(-(-len(self) // run), generator=generator).to(order.device)
            place = torch.empty_like(runs)
            place[runs] = torch.arange(len(runs), device=order.device)
            order = order[torch.argsort(place[order // run] // RUNS, stable=True)]
        begin = self.begin.index_select(0, order)
        if not self.whole:  # a pair each: of tens of millions no length is looked up
            windows = self._windows(runs, run, torch.arange(1, len(self) + 1, dtype=torch.int32)) if window else []
            return list(begin.split(self.batch_size)), windows
        lengths = self.lengths.index_select(0, order)
        end = lengths.cumsum(0, dtype=torch.int32)
        windows = self._windows(runs, run, end) if window else []
        pairs = torch.repeat_interleave(begin - end + lengths, lengths)
        pairs += torch.arange(len(pairs), dtype=torch.int32, device=pairs.device)
        sizes = torch.bincount((end - 1) // self.batch_size, weights=lengths).long()
        return list(pairs.split(sizes[sizes > 0].tolist())), windows

    def _windows(self, runs: Tensor, run: int, end: Tensor) -> list[Window]:
        """The windows of an order of runs of `run` pieces, whose pairs `end` there."""
        windows, pieces = [], 0
        for some in runs.split(RUNS):
            first = some * run
            last = (first + run).clamp(max=len(self)) - 1
            bounds = zip(self.begin[first].tolist(), (self.begin[last] + self.lengths[last]).tolist(), strict=True)
            before = int(end[pieces - 1]) if pieces else 0
            windows.append(Window(before // self.batch_size, list(bounds)))
            pieces += int((last - first + 1).sum())
        return windows


def _cut(begin: Tensor, lengths: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The pieces, those longer than `most` in parts."""
    if not int((lengths > most).any()):
        return begin, lengths
    parts = (lengths + most - 1) // most
    owner = torch.repeat_interleave(torch.arange(len(lengths), device=begin.device), parts)
    part = torch.arange(len(owner), device=begin.device) - offsets(parts)[owner]
    within = (part * most).int()
    return begin[owner] + within, (lengths[owner] - within).clamp(max=most)


def gather(data: Resident, pairs: list[Tensor]) -> list[PairBatch]:
    """The batches, each the numbers (P,) of some pairs, with all that a step reads of them."""
    sizes, pair_Q = [len(batch) for batch in pairs], torch.cat(pairs)
    batch_Q = torch.repeat_interleave(torch.tensor(sizes, device=data.device), output_size=len(pair_Q))
    notice = _distinct(batch_Q, data.pair_notice.index_select(0, pair_Q).long(), len(sizes))
    as_of_U = data.published_at.index_select(0, notice.row)
    profile_Q = data.profiles_of(data.pair_version.index_select(0, pair_Q))
    if data.profile.ages.shape[1]:  # a company's ages differ from notice to notice
        company = _Distinct(profile_Q, sizes, *_each(sizes, data.device))
        as_of_V = as_of_U[notice.place_Q + offsets(torch.tensor(notice.sizes, device=data.device))[batch_Q]]
    else:
        company = _distinct(batch_Q, profile_Q + 1, len(sizes))  # -1, none, must not be below its batch's keys
        company, as_of_V = company._replace(row=company.row - 1), as_of_U[:1]
    parts = zip(
        pairs,
        notice.row.split(notice.sizes),
        data.notice.take(notice.row, as_of_U).split(notice.sizes),
        data.profiles(company.row, as_of_V).split(company.sizes),
        notice.place_Q.split(sizes),
        company.place_Q.split(sizes),
        company.count.float().log().split(company.sizes),
        strict=True,
    )
    return [PairBatch(*part) for part in parts]


class _Distinct(NamedTuple):
    """The distinct rows of each batch, batch after batch: `sizes` of them, each standing for `count` of the Q."""

    row: Tensor
    sizes: list[int]
    place_Q: Tensor
    """Each of the Q's place among its own batch's."""
    count: Tensor


def _distinct(batch_Q: Tensor, row_Q: Tensor, batches: int) -> _Distinct:
    key, place_Q, count = torch.unique((batch_Q << _BATCH_SHIFT) + row_Q, return_inverse=True, return_counts=True)
    sizes = torch.bincount(key >> _BATCH_SHIFT, minlength=batches)
    return _Distinct(
        key & (1 << _BATCH_SHIFT) - 1, sizes.tolist(), place_Q - offsets(sizes).index_select(0, batch_Q), count
    )


def _each(sizes: list[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """The places and counts of rows of which none is shared."""
    places = torch.cat([torch.arange(size, device=device) for size in sizes])
    return places, torch.ones_like(places)
