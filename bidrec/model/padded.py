"""The towers without TorchRec: the same weights behind plain nn.Embedding tables and padded inputs, for export.

Only the look-up of the fields and the means of a history are other ones; all other layers are the trained modules
themselves. `torch.export` can follow these, which it cannot with jagged tensors. For the default kind of model
(`history`).

Dimension letters: B rows, F dense columns, T ages, I attribute ids of a row at most, J text terms at most, N notices,
L bids of a history, D length of a vector, W of all members' vectors side by side.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from bidrec.model.fields import SummedFields, log_ages
from bidrec.model.history import History
from bidrec.model.members import HistoryTowers, NoticeTowers, apart, side_by_side
from bidrec.model.rows import RowBatch
from bidrec.model.tables import Table
from bidrec.model.towers import HistoryTower, NoticeTower


@dataclass(frozen=True)
class PaddedRows:
    """dense_BF, ages_days_BT as in RowBatch; attributes_BI and text_BJ int64 ids, -1 where a row has no more;
    text_weights_BJ float32, 0 there."""

    dense_BF: Tensor
    ages_days_BT: Tensor
    attributes_BI: Tensor
    text_BJ: Tensor
    text_weights_BJ: Tensor


@dataclass(frozen=True)
class PaddedHistory:
    """A History with as many places for each company: notice_BL (B, L) int64 rows, 0 where there is none, known_BL
    (B, L) bool, age_days_BL (B, L) float32, count_B (B,). Newest first."""

    notice_BL: Tensor
    known_BL: Tensor
    age_days_BL: Tensor
    count_B: Tensor

    @classmethod
    def of(cls, history: History) -> "PaddedHistory":
        """With the places of the longest, and one where none has any."""
        lengths = history.begin_B.diff().tolist()
        none = 0 if any(lengths) else 1
        notice_BL, age_days_BL = (
            functional.pad(pad_sequence(list(column.split(lengths)), batch_first=True), (0, none))
            for column in (history.notice_E, history.age_days_E)
        )
        known_BL = torch.arange(notice_BL.shape[1]) < history.begin_B.diff()[:, None]
        return cls(notice_BL, known_BL, age_days_BL, history.count_B)

    def newest(self) -> tuple[Tensor, Tensor]:
        """As History.newest."""
        return (self.age_days_BL * self.known_BL)[:, 0], self.known_BL[:, 0]

    def means(self, notice_ND: Tensor, gate_HD: Tensor, half_lives: Sequence[float]) -> tuple[list[Tensor], Tensor]:
        """As History.means."""
        gate_NH = notice_ND @ gate_HD.T
        means, totals = [], []
        for at, half_life in enumerate(half_lives):
            gate_BL = gate_NH[:, at][self.notice_BL]
            weight_BL = torch.exp(gate_BL - math.log(2) / half_life * self.age_days_BL) * self.known_BL
            total_B1 = weight_BL.sum(1, keepdim=True)
            share_BL = weight_BL / total_B1.clamp(min=1e-9)
            means.append(functional.embedding_bag(self.notice_BL, notice_ND, per_sample_weights=share_BL, mode="sum"))
            totals.append(total_B1)
        return means, torch.cat(totals, dim=1)


def padded(batch: RowBatch) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The batch as the five inputs of an exported tower, in the order of PaddedRows."""
    attributes = batch.attributes.split(batch.attribute_lengths_BA.sum(1).tolist())
    lengths = batch.text_lengths_B.tolist()
    return (
        batch.dense_BF,
        batch.ages_days_BT,
        pad_sequence(list(attributes), batch_first=True, padding_value=-1),
        pad_sequence(list(batch.text.split(lengths)), batch_first=True, padding_value=-1),
        pad_sequence(list(batch.text_weights.split(lengths)), batch_first=True),
    )


class PaddedFields(nn.Module):
    """PaddedRows -> (B, width), as SummedFields does with RowBatch."""

    def __init__(self, fields: SummedFields) -> None:
        super().__init__()
        self.attributes, self.text = _copied(fields.attributes), _copied(fields.text)

    def forward(self, rows: PaddedRows) -> Tensor:
        parts = [rows.dense_BF, log_ages(rows.ages_days_BT)]
        if self.text is not None:
            parts.insert(0, _summed(self.text, rows.text_BJ, rows.text_weights_BJ))
        if self.attributes is not None:
            parts.insert(0, _summed(self.attributes, rows.attributes_BI, torch.ones_like(rows.attributes_BI).float()))
        return torch.cat(parts, dim=1)


class PaddedNoticeTower(nn.Module):
    """Notices -> (B, W) unit vectors, of all members side by side."""

    def __init__(self, tower: NoticeTower | NoticeTowers) -> None:
        super().__init__()
        self.members = _members(tower)
        for member in self.members:
            member.fields = PaddedFields(member.fields)

    def forward(
        self, dense_BF: Tensor, ages_days_BT: Tensor, attributes_BI: Tensor, text_BJ: Tensor, text_weights_BJ: Tensor
    ) -> Tensor:
        rows = PaddedRows(dense_BF, ages_days_BT, attributes_BI, text_BJ, text_weights_BJ)
        return side_by_side([member(rows) for member in self.members])


class PaddedHistoryTower(nn.Module):
    """Companies -> (B, W) unit vectors: a history of rows of notice_NW, and two rows of fields."""

    def __init__(self, tower: HistoryTower | HistoryTowers) -> None:
        super().__init__()
        self.members = _members(tower)
        for member in self.members:
            member.version, member.profile = PaddedFields(member.version), PaddedFields(member.profile)

    def forward(
        self,
        notice_NW: Tensor,
        notice_BL: Tensor,
        known_BL: Tensor,
        age_days_BL: Tensor,
        count_B: Tensor,
        version: tuple[Tensor, Tensor, Tensor, Tensor, Tensor],
        profile: tuple[Tensor, Tensor, Tensor, Tensor, Tensor],
        has_profile_B: Tensor,
    ) -> Tensor:
        history = PaddedHistory(notice_BL, known_BL, age_days_BL, count_B)
        facts = PaddedRows(*version), PaddedRows(*profile), has_profile_B
        parts = zip(self.members, apart(notice_NW, len(self.members)), strict=True)
        return side_by_side([member(notice_ND, history, *facts) for member, notice_ND in parts])


def _members(tower: nn.Module) -> nn.ModuleList:
    """Copies of the towers that stand side by side in it, or of itself."""
    return nn.ModuleList(copy.deepcopy(list(getattr(tower, "members", [tower]))))


def _copied(table: Table | None) -> nn.Embedding | None:
    return None if table is None else nn.Embedding.from_pretrained(table.weight.detach().clone())


def _summed(table: nn.Embedding, ids_BI: Tensor, weights_BI: Tensor) -> Tensor:
    """(B, I) ids, -1 for none -> (B, width) weighted sum of their rows."""
    weights_BI = weights_BI * (ids_BI >= 0)
    return (table(ids_BI.clamp(min=0)) * weights_BI[:, :, None]).sum(1)
