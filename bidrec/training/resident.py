"""The training set on the training device, and what was known as of a moment.

Reads   runs/ID/training_set through bidrec.training_set.load
Serves  gathers by row number: notices, company versions, profiles, histories
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bidrec.model.rows import SECONDS_A_DAY, RowBatch, Rows, offsets
from bidrec.model.towers import History
from bidrec.training_set.load import Side, TrainingSet

_COMPANY_SHIFT = 33  # a version's key is company << 33 | known_at; seconds until the year 2242 fit below


@dataclass(frozen=True)
class Companies:
    """B companies as of a moment: what the history tower reads."""

    history: History
    version: RowBatch
    profile: RowBatch
    has_profile_B: Tensor


@dataclass(frozen=True)
class Resident:
    """All arrays as tensors on one device; row numbers as in the training set."""

    notice: Rows
    version: Rows
    profile: Rows
    """One row longer than the training set's: the last stands for a company without a profile."""
    published_at: Tensor
    version_key: Tensor
    version_company: Tensor
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

    @classmethod
    def of(cls, ts: TrainingSet, device: torch.device) -> "Resident":
        """Move the set to the device: once, before the first step."""

        def tensor(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.array(array)).to(device)

        version_company, version_known = tensor(ts.version_company).long(), tensor(ts.version_known_at)
        per_notice = torch.bincount(tensor(ts.pair_notice).long(), minlength=ts.notice.rows)
        return cls(
            notice=rows_of(ts.notice, device),
            version=rows_of(ts.version, device),
            profile=_with_absent(rows_of(ts.profile, device), ts.profile),
            published_at=tensor(ts.notice_published_at),
            version_key=(version_company << _COMPANY_SHIFT) + version_known,
            version_company=version_company,
            version_profile=tensor(ts.version_profile).long(),
            log_begin=tensor(ts.version_log_begin),
            log_end=tensor(ts.version_log_end),
            log_notice=tensor(ts.log_notice),
            log_known_at=tensor(ts.log_known_at),
            pair_offsets=offsets(per_notice),
            pair_notice=tensor(ts.pair_notice),
            pair_company=tensor(ts.pair_company),
            pair_version=tensor(ts.pair_version),
            pair_known_at=tensor(ts.pair_known_at),
            companies=ts.companies,
        )

    @property
    def device(self) -> torch.device:
        return self.published_at.device

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
        first = torch.repeat_interleave(end - lengths.cumsum(0), lengths)
        pair = first + torch.arange(len(first), device=self.device)
        keep = self.pair_known_at[pair] < known_before
        return position[keep], self.pair_company[pair[keep]].long()

    def histories(self, version_B: Tensor, as_of: int, length: int) -> History:
        """The last `length` bids of each version's company, newest first."""
        begin, end = self.log_begin[version_B], self.log_end[version_B]
        event_BL = end[:, None] - 1 - torch.arange(length, device=self.device)
        known_BL = event_BL >= begin[:, None]
        event_BL = event_BL.clamp(min=0).masked_fill(~known_BL, 0)
        if not len(self.log_notice):
            empty = torch.zeros(event_BL.shape, device=self.device)
            return History(empty.long(), known_BL, empty, end - begin)
        age_days_BL = (as_of - self.log_known_at[event_BL]).float() / SECONDS_A_DAY
        return History(
            notice_BL=self.log_notice[event_BL].long().masked_fill(~known_BL, 0),
            known_BL=known_BL,
            age_days_BL=age_days_BL.clamp(min=0),
            count_B=end - begin,
        )

    def company_batch(self, version_B: Tensor, as_of: int, length: int) -> Companies:
        """All that the history tower reads of the companies with these version rows (B,), none of them -1."""
        profile_B = self.version_profile[version_B]
        return Companies(
            history=self.histories(version_B, as_of, length),
            version=self.version.take(version_B, as_of),
            profile=self.profiles(profile_B, as_of),
            has_profile_B=profile_B >= 0,
        )

    def profiles(self, profile_B: Tensor, as_of: Tensor | int) -> RowBatch:
        """Profile rows; -1 gives the row that stands for none."""
        return self.profile.take(torch.where(profile_B >= 0, profile_B, len(self.profile) - 1), as_of)


def rows_of(side: Side, device: torch.device) -> Rows:
    """All rows of a side of the training set, on the device."""

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(array)).to(device)

    return Rows.of(
        dense=tensor(side.dense),
        ages=tensor(side.ages),
        attributes=tensor(side.attribute_values),
        attribute_lengths=tensor(side.attribute_lengths),
        text=tensor(side.text_values),
        text_weights=tensor(side.text_weights),
        text_lengths=tensor(side.text_lengths),
    )


def _with_absent(rows: Rows, side: Side) -> Rows:
    """Add one row in which every field is unknown, every number missing."""
    device = rows.device
    unknown = torch.tensor([field["base"] for field in side.schema["attributes"]], dtype=torch.int32, device=device)
    return Rows(
        dense=torch.cat([rows.dense, rows.dense.new_zeros(1, rows.dense.shape[1])]),
        ages=torch.cat([rows.ages, rows.ages.new_full((1, rows.ages.shape[1]), torch.iinfo(torch.int64).min)]),
        attributes=torch.cat([rows.attributes, unknown]),
        attribute_lengths=torch.cat([rows.attribute_lengths, rows.attribute_lengths.new_ones(1, len(unknown))]),
        attribute_offsets=torch.cat([rows.attribute_offsets, rows.attribute_offsets[-1:] + len(unknown)]),
        text=rows.text,
        text_weights=rows.text_weights,
        text_offsets=torch.cat([rows.text_offsets, rows.text_offsets[-1:]]),
    )
