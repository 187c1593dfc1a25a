"""How a side's fields become one vector a row, through one TorchRec table for all its categorical fields.

SummedFields (default): all attribute ids of a row are summed in one wide table, the weighted text terms in another.
    Few bytes a row, so the notice tower can run over the thousands of notices in a batch's histories.
SeparateFields (the seed's way): one narrow block a field, side by side, and the numbers apart from them; the blocks'
    rows lie in one table. Text is not read.
"""

import torch
from torch import Tensor, nn

from bidrec.model.rows import RowBatch, Shape, offsets
from bidrec.model.tables import Table


class SummedFields(nn.Module):
    """RowBatch -> (B, width): [sum of attribute rows, weighted sum of text rows, dense, log ages]."""

    def __init__(self, shape: Shape, dim: int) -> None:
        super().__init__()
        self.width = dim * ((shape.attribute_rows > 0) + (shape.text_rows > 0)) + shape.dense + 2 * shape.ages
        # A row sums one item a field; scaled so that the sum starts near the size of a title's vector.
        spread = 0.3 / max(1, len(shape.fields)) ** 0.5
        self.attributes = Table(shape.attribute_rows, dim, spread) if shape.attribute_rows else None
        self.text = Table(shape.text_rows, dim, 0.1, weighted=True) if shape.text_rows else None

    def forward(self, batch: RowBatch) -> Tensor:
        parts = []
        if self.attributes is not None:
            parts.append(self.attributes(batch.attributes, batch.row_offsets()))
        if self.text is not None:
            parts.append(self.text(batch.text, offsets(batch.text_lengths_B), batch.text_weights))
        return torch.cat([*parts, batch.dense_BF, log_ages(batch.ages_days_BT)], dim=1)


class SeparateFields(nn.Module):
    """RowBatch -> (B, block): one dim-wide block a field; and (B, numbers): [dense, log ages], which learn nothing."""

    def __init__(self, shape: Shape, dim: int) -> None:
        super().__init__()
        self.block = dim * len(shape.fields)
        self.empty = not (shape.fields or shape.dense or shape.ages)
        self.numbers = 1 if self.empty else shape.dense + 2 * shape.ages
        self.attributes = Table(shape.attribute_rows, dim, dim**-0.5) if shape.fields else None

    def forward(self, batch: RowBatch) -> tuple[Tensor, Tensor]:
        # A side without a single field still needs an input.
        numbers_BN = batch.dense_BF.new_ones(len(batch), 1) if self.empty else batch.dense_BF
        if batch.ages_days_BT.shape[1]:
            numbers_BN = torch.cat([numbers_BN, log_ages(batch.ages_days_BT)], dim=1)
        if self.attributes is None:
            return numbers_BN[:, :0], numbers_BN
        # Ids lie in (row, field, item) order: with a bag for each row and field, a row's blocks come side by side.
        offsets_ = None if batch.single else offsets(batch.attribute_lengths_BA.flatten())
        return self.attributes(batch.attributes, offsets_).view(-1, self.block), numbers_BN


def log_ages(days_BT: Tensor) -> Tensor:
    """(B, T) days, -1 where missing -> (B, 2T): log1p days scaled to about [0, 1.5], and a flag for missing."""
    missing = (days_BT < 0).float()
    return torch.cat([torch.log1p(days_BT.clamp(min=0)) / 5 * (1 - missing), missing], dim=1)
