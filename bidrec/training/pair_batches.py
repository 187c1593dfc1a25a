"""Batches of bids for the `static` model, gathered some steps ahead.

A notice's tower runs once for all its bids in a batch, a company's once for all it bids on.
Each gather costs some microseconds whatever its size, a good part of a small step: so a run of batches shares them.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from bidrec.model.distinct import distinct
from bidrec.model.rows import RowBatch, Rows, offsets
from bidrec.training.resident import Resident

AHEAD_PAIRS = 4096
"""Pairs that are gathered at once, or one batch where that has more."""
AHEAD_ON_A_GPU = 16
"""Batches, at least, that a GPU gathers at once: a gather waits until all steps before are done."""
FEW_TWICE = 0.02
"""The share of a batch's rows that are there again, below which none is looked for."""
_BATCH_SHIFT = 32


@dataclass(frozen=True)
class PairBatch:
    """P bids on U notices, by the V company rows in them."""

    pair_P: Tensor
    notice_U: Tensor
    notice: RowBatch
    company: RowBatch
    notice_of_P: Tensor
    company_of_P: Tensor
    """Each bid's place among the U notices and the V company rows."""
    log_count_V: Tensor
    """The log of how many of the bids a company row stands for."""


class Shared(NamedTuple):
    """Whether so many bids of a batch are by the same company, or on the same notice, that its rows are told apart:
    that takes a fifth of a gather, and in a batch of few of many bids each row is there once."""

    notice: bool
    company: bool

    @classmethod
    def among(cls, data: Resident, pair_P: Tensor) -> "Shared":
        """Judged by one batch."""
        notice, company = _rows_of(data, pair_P)
        least = len(pair_P) * (1 - FEW_TWICE)
        return cls(len(notice.unique()) < least, len(company.unique()) < least)


def gather(data: Resident, pairs: list[Tensor], shared: Shared) -> list[PairBatch]:
    """The batches, each the numbers (P,) of some pairs, with all that a step reads of them."""
    sizes, pair_Q = tuple(len(batch) for batch in pairs), torch.cat(pairs)
    notice_Q, profile_Q = _rows_of(data, pair_Q)
    own_time = bool(data.profile.ages.shape[1])  # a company's ages differ from notice to notice
    notice = _distinct(notice_Q, sizes) if shared.notice else _each(notice_Q, sizes)
    from_0_Q = profile_Q + 1  # -1, none, must not be below its batch's keys
    company = _distinct(from_0_Q, sizes) if shared.company and not own_time else _each(from_0_Q, sizes)
    parts = zip(
        pairs,
        notice.row.split(notice.sizes),
        data.notice.take(notice.row, _as_of(data, data.notice, notice.row)).split(notice.sizes),
        data.profiles(company.row - 1, _as_of(data, data.profile, notice_Q)).split(company.sizes),
        notice.place_Q.split(sizes),
        company.place_Q.split(sizes),
        company.log_count.split(company.sizes),
        strict=True,
    )
    return [PairBatch(*part) for part in parts]


def _rows_of(data: Resident, pair_Q: Tensor) -> tuple[Tensor, Tensor]:
    """(Q,) the pairs' notices and profile rows."""
    version_Q = data.pair_version.index_select(0, pair_Q)
    return data.pair_notice.index_select(0, pair_Q).long(), data.profiles_of(version_Q)


def _as_of(data: Resident, rows: Rows, notice_B: Tensor) -> Tensor | int:
    """When the notices were published, if the rows have ages to tell as of then."""
    return data.published_at.index_select(0, notice_B) if rows.ages.shape[1] else 0


class _Distinct(NamedTuple):
    """The distinct rows of each batch, batch after batch: `sizes` of them, each standing for some of the Q."""

    row: Tensor
    sizes: list[int]
    place_Q: Tensor
    """Each of the Q's place among its own batch's."""
    log_count: Tensor
    """The log of how many a row stands for."""


def _distinct(row_Q: Tensor, sizes: tuple[int, ...]) -> _Distinct:
    batch_Q = torch.repeat_interleave(torch.tensor(sizes, device=row_Q.device), output_size=len(row_Q))
    key, place_Q, count = distinct((batch_Q << _BATCH_SHIFT) + row_Q)
    found = torch.bincount(key >> _BATCH_SHIFT, minlength=len(sizes))
    return _Distinct(
        key & (1 << _BATCH_SHIFT) - 1,
        found.tolist(),
        place_Q - offsets(found).index_select(0, batch_Q),
        count.float().log(),
    )


def _each(row_Q: Tensor, sizes: tuple[int, ...]) -> _Distinct:
    """All rows, as if none was there twice."""
    return _Distinct(row_Q, list(sizes), *_places(sizes, row_Q.device))


@lru_cache(maxsize=2)
def _places(sizes: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    places = torch.cat([torch.arange(size, device=device) for size in sizes])
    return places, torch.zeros(len(places), device=device)
