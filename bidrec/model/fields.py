"""How a side's fields become one vector a row, through one TorchRec table for all its categorical fields.

SummedFields (default): all attribute ids of a row are summed in one wide table, the weighted text terms in another.
    Few bytes a row, so the notice tower can run over the thousands of notices in a batch's histories.
SeparateFields (the seed's way): one narrow block a field, side by side; the blocks' rows lie in one table. Text is not
    read.
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
        return torch.cat([*parts, *_numbers(batch)], dim=1)


class SeparateFields(nn.Module):
    """RowBatch -> (B, width): [one dim-wide block a field, dense, log ages]."""

    def __init__(self, shape: Shape, dim: int) -> None:
        super().__init__()
        self.block = dim * len(shape.fields)
        self.width = self.block + shape.dense + 2 * shape.ages
        self.attributes = Table(shape.attribute_rows, dim, dim**-0.5) if shape.fields else None

    def forward(self, batch: RowBatch) -> Tensor:
        parts = _numbers(batch)
        if self.attributes is not None:
            # Ids lie in (row, field, item) order: with a bag for each row and field, a row's blocks come side by side.
            parts.insert(0, self.attributes(batch.attributes, batch.field_offsets()).view(-1, self.block))
        return torch.cat(parts, dim=1)


def _numbers(batch: RowBatch) -> list[Tensor]:
    return [batch.dense_BF, log_ages(batch.ages_days_BT)] if batch.ages_days_BT.shape[1] else [batch.dense_BF]


def log_ages(days_BT: Tensor) -> Tensor:
    """(B, T) days, -1 where missing -> (B, 2T): log1p days scaled to about [0, 1.5], and a flag for missing."""
    missing = (days_BT < 0).float()
    return torch.cat([torch.log1p(days_BT.clamp(min=0)) / 5 * (1 - missing), missing], dim=1)
