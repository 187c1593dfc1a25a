"""How a side's fields become one vector a row, through TorchRec's embedding bags.

SummedFields (default): all attribute ids of a row are summed in one wide table, the weighted text terms in another.
    Few bytes a row, so the notice tower can run over the thousands of notices in a batch's histories.
SeparateFields (the seed's way): one narrow table a field, the outputs side by side.
"""

import torch
from torch import Tensor, nn
from torchrec import EmbeddingBagCollection, EmbeddingBagConfig, KeyedJaggedTensor
from torchrec.modules.embedding_configs import PoolingType

from bidrec.model.rows import RowBatch, Shape


class SummedFields(nn.Module):
    """RowBatch -> (B, width): [sum of attribute rows, weighted sum of text rows, dense, log ages]."""

    def __init__(self, shape: Shape, dim: int) -> None:
        super().__init__()
        self.width = dim * ((shape.attribute_rows > 0) + (shape.text_rows > 0)) + shape.dense + 2 * shape.ages
        self.has_text = shape.text_rows > 0
        self.has_attributes = shape.attribute_rows > 0
        tables = []
        if self.has_attributes:
            # A row sums one item a field; scaled so that the sum starts near the size of a title's vector.
            spread = 0.3 / max(1, len(shape.fields)) ** 0.5
            tables.append(_table("attributes", dim, shape.attribute_rows, spread))
        if self.has_text:
            tables.append(_table("text", dim, shape.text_rows, 0.1))
        self.bags = EmbeddingBagCollection(tables=tables, is_weighted=True) if tables else None

    def forward(self, batch: RowBatch) -> Tensor:
        parts = [batch.dense_BF, log_ages(batch.ages_days_BT)]
        if self.bags is not None:
            parts.insert(0, self.bags(self._jagged(batch)).values())
        return torch.cat(parts, dim=1)

    def _jagged(self, batch: RowBatch) -> KeyedJaggedTensor:
        keys, values, weights, lengths = [], [], [], []
        if self.has_attributes:
            keys.append("attributes")
            values.append(batch.attributes)
            weights.append(torch.ones_like(batch.attributes, dtype=torch.float32))
            lengths.append(batch.attribute_lengths_BA.sum(1))
        if self.has_text:
            keys.append("text")
            values.append(batch.text)
            weights.append(batch.text_weights)
            lengths.append(batch.text_lengths_B)
        return KeyedJaggedTensor(
            keys=keys, values=torch.cat(values), lengths=torch.cat(lengths), weights=torch.cat(weights)
        )


class SeparateFields(nn.Module):
    """RowBatch -> (B, width): [one dim-wide block a field, dense, log ages]. Text is not read."""

    def __init__(self, shape: Shape, dim: int) -> None:
        super().__init__()
        self.fields = shape.fields
        self.width = dim * len(shape.fields) + shape.dense + 2 * shape.ages
        tables = [_table(field.name, dim, field.size, dim**-0.5) for field in shape.fields]
        self.bags = EmbeddingBagCollection(tables=tables) if tables else None

    def forward(self, batch: RowBatch) -> Tensor:
        parts = [batch.dense_BF, log_ages(batch.ages_days_BT)]
        if self.bags is not None:
            parts.insert(0, self.bags(self._jagged(batch)).values())
        return torch.cat(parts, dim=1)

    def _jagged(self, batch: RowBatch) -> KeyedJaggedTensor:
        lengths_AB = batch.attribute_lengths_BA.T.contiguous()
        field_of = torch.arange(len(self.fields), device=lengths_AB.device).repeat(lengths_AB.shape[1])
        field_of = torch.repeat_interleave(field_of, batch.attribute_lengths_BA.flatten())
        order = torch.argsort(field_of, stable=True)  # row-major to field-major, rows kept in order
        base = torch.tensor([field.base for field in self.fields], device=field_of.device)
        return KeyedJaggedTensor(
            keys=[field.name for field in self.fields],
            values=(batch.attributes - base[field_of])[order],
            lengths=lengths_AB.flatten(),
        )


def log_ages(days_BT: Tensor) -> Tensor:
    """(B, T) days, -1 where missing -> (B, 2T): log1p days scaled to about [0, 1.5], and a flag for missing."""
    missing = (days_BT < 0).float()
    return torch.cat([torch.log1p(days_BT.clamp(min=0)) / 5 * (1 - missing), missing], dim=1)


def _table(name: str, dim: int, rows: int, spread: float) -> EmbeddingBagConfig:
    def start(weight: Tensor) -> Tensor:
        return nn.init.normal_(weight, std=spread)

    return EmbeddingBagConfig(
        name=name, embedding_dim=dim, num_embeddings=rows, feature_names=[name], pooling=PoolingType.SUM, init_fn=start
    )
