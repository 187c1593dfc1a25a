"""The training set on the training device, and what was known as of a moment.

Reads   runs/ID/training_set through bidrec.training_set.arrays
Serves  gathers by row number: notices, company versions, profiles, histories

On a CPU the large arrays stay what they are, files mapped into memory: nothing is copied. On a GPU they are, once.
"""

import mmap
import warnings
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from bidrec.model.history import History
from bidrec.model.rows import SECONDS_A_DAY, RowBatch, Rows, offsets
from bidrec.training.stream import Stream
from bidrec.training_set.arrays import Side, TrainingSet
from bidrec.training_set.encoders import IS_MISSING

_COMPANY_SHIFT = 33  # a version's key is (company << 33) + known_at: the times span at most 272 years (bidrec/config)
_POPULATE_READ = 22  # MADV_POPULATE_READ, Linux 5.14 and later


@dataclass(frozen=True)
class Companies:
    """B companies as of a moment: what the history tower reads."""

    history: History
    version: RowBatch
    profile: RowBatch
    has_profile_B: Tensor

    def __len__(self) -> int:
        return len(self.has_profile_B)

    def split(self, sizes: list[int]) -> "list[Companies]":
        """The companies in parts of these sizes, without a copy."""
        columns = (self.history, self.version, self.profile, self.has_profile_B)
        return [Companies(*part) for part in zip(*(column.split(sizes) for column in columns), strict=True)]


@dataclass(frozen=True)
class Resident:
    """All arrays as tensors on one device; row numbers as in the training set."""

    notice: Rows
    version: Rows
    profile: Rows
    """One row longer than the training set's: the last stands for a company without a profile."""
    published_at: Tensor
    version_company: Tensor
    version_known_at: Tensor
    version_profile: Tensor
    log_begin: Tensor
    log_end: Tensor
    log_notice: Tensor
    log_known_at: Tensor
    pair_offsets: Tensor
    pair_notice: Tensor
    pair_company: Tensor
    pair_version: Tensor
    pair_known_at: Tensor
    companies: int
    stream: Stream | None
    """Reads ahead where the set is larger than memory."""

    @classmethod
    def of(cls, ts: TrainingSet, device: torch.device, streamed: bool = False) -> "Resident":
        """The set's arrays as tensors of the device. `streamed`: on a CPU, do not load them before they are read."""
        if not streamed:
            load(ts)

        def tensor(array: np.ndarray) -> Tensor:
            return mapped(array, device)

        pair_notice = tensor(ts.pair_notice)
        return cls(
            notice=rows_of(ts.notice, device),
            version=rows_of(ts.version, device),
            profile=_with_absent(rows_of(ts.profile, device), ts.profile),
            published_at=tensor(ts.notice_published_at),
            version_company=tensor(ts.version_company),
            version_known_at=tensor(ts.version_known_at),
            version_profile=tensor(ts.version_profile),
            log_begin=tensor(ts.version_log_begin),
            log_end=tensor(ts.version_log_end),
            log_notice=tensor(ts.log_notice),
            log_known_at=tensor(ts.log_known_at),
            pair_offsets=offsets(torch.bincount(pair_notice, minlength=ts.notice.rows)),
            pair_notice=pair_notice,
            pair_company=tensor(ts.pair_company),
            pair_version=tensor(ts.pair_version),
            pair_known_at=tensor(ts.pair_known_at),
            companies=ts.companies,
            stream=Stream(ts) if streamed else None,
        )

    @property
    def device(self) -> torch.device:
        return self.published_at.device

    @cached_property
    def version_key(self) -> Tensor:
        """(V,) ascending: the version's company and time in one number. Made when first asked for: it is a copy."""
        return (self.version_company.long() << _COMPANY_SHIFT) + self.version_known_at

    @cached_property
    def first_known_C(self) -> Tensor:
        """(C,) when the first version of each company became known; never, where it has none."""
        first = torch.searchsorted(
            self.version_company, torch.arange(self.companies + 1, dtype=torch.int32, device=self.device)
        )
        known_C = torch.full((self.companies,), torch.iinfo(torch.int64).max, device=self.device)
        has = first[1:] > first[:-1]
        known_C[has] = self.version_known_at[first[:-1][has]]
        return known_C

    def versions_as_of(self, as_of: int) -> Tensor:
        """(C,) every company's newest version row known at `as_of` (epoch seconds UTC, inclusive); -1: none yet."""
        return self.newest_versions(torch.arange(self.companies, device=self.device), as_of)

    def newest_versions(self, company: Tensor, as_of: Tensor | int) -> Tensor:
        """(B,) the newest version row of each company (B,) known at its `as_of`, inclusive; -1: none yet."""
        row = torch.searchsorted(self.version_key, (company << _COMPANY_SHIFT) + as_of, right=True) - 1
        found = (row >= 0) & (self.version_company[row.clamp(min=0)] == company)
        return torch.where(found, row, -1)

    def bids_of(self, notice_B: Tensor, known_before: int) -> tuple[Tensor, Tensor]:
        """The notices' bids known before `known_before`: (position among the notices (E,), company (E,))."""
        begin, end = self.pair_offsets[notice_B], self.pair_offsets[notice_B + 1]
        lengths = end - begin
        position = torch.repeat_interleave(torch.arange(len(notice_B), device=self.device), lengths)
        pair = (end - lengths.cumsum(0))[position] + torch.arange(len(position), device=self.device)
        kept = (self.pair_known_at[pair] < known_before).nonzero().flatten()
        return position[kept], self.pair_company[pair[kept]].long()

    def histories(self, version_B: Tensor, as_of: int, length: int) -> History:
        """The last `length` bids of each version's company, newest first."""
        begin, end = self.log_begin[version_B], self.log_end[version_B]
        lengths = (end - begin).clamp(max=length)
        begin_B = offsets(lengths)
        bids = torch.arange(int(begin_B[-1]), device=self.device)
        newest_E = (end - 1 + begin_B[:-1]).repeat_interleave(lengths, output_size=len(bids))
        event_E = newest_E - bids
        age_days_E = (as_of - self.log_known_at[event_E]).float() / SECONDS_A_DAY
        return History(self.log_notice[event_E].long(), age_days_E.clamp(min=0), begin_B, end - begin)

    def company_batch(self, version_B: Tensor, as_of: int, length: int) -> Companies:
        """All that the history tower reads of the companies with these version rows (B,), none of them -1."""
        profile_B = self.profiles_of(version_B)
        return Companies(
            history=self.histories(version_B, as_of, length),
            version=self.version.take(version_B, as_of),
            profile=self.profiles(profile_B, as_of),
            has_profile_B=profile_B >= 0,
        )

    def profiles_of(self, version_B: Tensor) -> Tensor:
        """(B,) the versions' profile rows, -1 for none."""
        return self.version_profile.index_select(0, version_B).long()

    def profiles(self, profile_B: Tensor, as_of: Tensor | int) -> RowBatch:
        """Profile rows; -1 gives the row that stands for none."""
        return self.profile.take(torch.where(profile_B >= 0, profile_B, len(self.profile) - 1), as_of)


def load(ts: TrainingSet) -> None:
    """Map the pages of all arrays: one sequential read, or none where they are in memory already, instead of a fault
    for each page that a step meets first."""
    for part in (ts, ts.notice, ts.profile, ts.version):
        for array in vars(part).values():
            if isinstance(array, np.ndarray) and isinstance(array.base, mmap.mmap):
                with suppress(OSError):
                    array.base.madvise(_POPULATE_READ)


def mapped(array: np.ndarray, device: torch.device) -> Tensor:
    """The array as a tensor: on a CPU the same memory, a mapped file included; it must not be written to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(np.asarray(array)).to(device)


def rows_of(side: Side, device: torch.device) -> Rows:
    return Rows.of(
        dense=mapped(side.dense, device),
        ages=mapped(side.ages, device),
        attributes=mapped(side.attribute_values, device),
        attribute_lengths=mapped(side.attribute_lengths, device),
        text=mapped(side.text_values, device),
        text_weights=mapped(side.text_weights, device),
        text_lengths=mapped(side.text_lengths, device),
    )


def _with_absent(rows: Rows, side: Side) -> Rows:
    """Add one row in which every field is unknown, every number missing and said to be so."""
    device = rows.device
    missing = torch.tensor([float(name.endswith(IS_MISSING)) for name in side.schema["dense_columns"]], device=device)
    unknown = torch.tensor([field["base"] for field in side.schema["attributes"]], dtype=torch.int32, device=device)
    end = rows.attribute_offsets[-1:]
    return Rows(
        dense=torch.cat([rows.dense, missing[None]]),
        ages=torch.cat([rows.ages, rows.ages.new_full((1, rows.ages.shape[1]), torch.iinfo(torch.int64).min)]),
        attributes=torch.cat([rows.attributes, unknown[None] if rows.single else unknown]),
        attribute_lengths=torch.cat([rows.attribute_lengths, rows.attribute_lengths.new_ones(1, len(unknown))]),
        attribute_offsets=end if rows.single else torch.cat([rows.attribute_offsets, end + len(unknown)]),
        text=rows.text,
        text_weights=rows.text_weights,
        text_offsets=torch.cat([rows.text_offsets, rows.text_offsets[-1:]]),
        single=rows.single,
    )
