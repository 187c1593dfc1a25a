"""Batches of bids for the `static` model, gathered some steps ahead.

A notice's tower runs once for all its bids in a batch, a company's once for all it bids on.
Each gather costs some microseconds whatever its size, a good part of a small step: so a run of batches shares them.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from bidrec.model.rows import RowBatch, offsets
from bidrec.training.resident import Resident

AHEAD_PAIRS = 4096
"""Pairs that are gathered at once, or one batch where that has more."""
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
