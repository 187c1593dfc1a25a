"""The towers: a notice to a unit vector, a company to a unit vector in the same space.

The company tower has no company id: a company is the weighted means of the notice tower's own outputs over its last
known bids, the later the heavier and, as learned, some kinds of notice more than others. A small network corrects them,
which starts near the identity: training starts from nearest neighbours in the embedding space, and a company that
appears tomorrow has a vector after its first opening.
"""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from bidrec.model.dropout import Dropout
from bidrec.model.fields import SeparateFields, SummedFields
from bidrec.model.history import History, Vectors
from bidrec.model.rows import RowBatch, Shape
from bidrec.model.unit import unit


class NoticeTower(nn.Module):
    """RowBatch of notices -> (B, D) unit vectors: a network beside a linear skip; it starts as a linear model."""

    def __init__(
        self, shape: Shape, *, table_dim: int, hidden: Sequence[int], embedding_dim: int, dropout: float
    ) -> None:
        super().__init__()
        self.fields = SummedFields(shape, table_dim)
        self.network = network(self.fields.width, hidden, embedding_dim, dropout)
        self.skip = nn.Linear(self.fields.width, embedding_dim, bias=False)

    def forward(self, batch: RowBatch) -> Tensor:
        x = self.fields(batch)
        return unit((self.network(x) + self.skip(x)).float())


class HistoryTower(nn.Module):
    """History, version row and profile row of B companies, and the notices' vectors -> (B, D) unit vectors."""

    def __init__(
        self,
        version: Shape,
        profile: Shape,
        *,
        half_lives: Sequence[float],
        table_dim: int,
        hidden: int,
        embedding_dim: int,
        fact_dropout: float,
    ) -> None:
        super().__init__()
        self.half_lives = tuple(half_lives)
        self.fact_dropout = fact_dropout
        self.version = SummedFields(version, table_dim)
        self.profile = SummedFields(profile, table_dim)
        width = len(self.half_lives) * (embedding_dim + 1) + 2 + self.version.width + self.profile.width + 1
        self.network = network(width, (hidden,), embedding_dim, dropout=0.0)
        last = self.network[-1]
        nn.init.normal_(last.weight, std=0.01)  # near the identity, yet never the zero vector for a new company
        nn.init.normal_(last.bias, std=0.01)
        self.gate = nn.Parameter(torch.zeros(len(self.half_lives), embedding_dim))
        self.mix = nn.Parameter(torch.full((len(self.half_lives),), 1 / len(self.half_lives)))

    def forward(
        self, notice: Vectors, history: History, version: RowBatch, profile: RowBatch, has_profile_B: Tensor
    ) -> Tensor:
        means, total_BH = history.means(notice, self.gate, self.half_lives)
        newest_B, has_B = history.newest()
        newest_B1 = torch.where(has_B, torch.log1p(newest_B) / 3, 3.0)[:, None]
        facts = [torch.log1p(total_BH), torch.log1p(history.count_B.float())[:, None] / 3, newest_B1]
        own = has_profile_B[:, None]
        facts += [self._shown(self.version(version)), self.profile(profile) * own, own.float()]
        core = sum(mean * share for mean, share in zip(means, self.mix, strict=True))
        return unit((core + self.network(torch.cat([*means, *facts], dim=1))).float())

    def _shown(self, facts_BF: Tensor) -> Tensor:
        """In training, hide a company's activity numbers now and then: exact counts name a company, and the model
        would learn its bids by heart."""
        if not self.training or not self.fact_dropout:
            return facts_BF
        return facts_BF * (torch.rand(len(facts_BF), 1, device=facts_BF.device) >= self.fact_dropout)


class StaticTower(nn.Module):
    """The seed's tower for either side: dense + one table a field -> hidden layers -> (B, D) unit vectors."""

    def __init__(
        self, shape: Shape, *, table_dim: int, hidden: Sequence[int], embedding_dim: int, dropout: float
    ) -> None:
        super().__init__()
        self.fields = SeparateFields(shape, table_dim)
        self.network = TwoInputs(*network(self.fields.block + self.fields.numbers, hidden, embedding_dim, dropout))

    def forward(self, batch: RowBatch) -> Tensor:
        return unit(self.network(*self.fields(batch)).float())


class TwoInputs(nn.Sequential):
    """Layers, the first of them linear, over two inputs side by side (B, L), (B, G). Kept apart, no gradient is worked
    out for one that asks for none, of `static` the numbers: a third of the largest product of matrices."""

    def forward(self, x_BL: Tensor, x_BG: Tensor) -> Tensor:  # type: ignore[override]
        first, *others = self
        weight_L, weight_G = first.weight.split([x_BL.shape[1], x_BG.shape[1]], dim=1)
        x = torch.addmm(functional.linear(x_BG, weight_G, first.bias), x_BL, weight_L.T)
        for layer in others:
            x = layer(x)
        return x


def network(width: int, hidden: Sequence[int], out: int, dropout: float) -> nn.Sequential:
    """Linear layers with ReLU between; dropout after the first."""
    widths = [width, *hidden, out]
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(itertools.pairwise(widths)):
        layers.append(nn.Linear(a, b))
        if i < len(widths) - 2:
            layers.append(nn.ReLU())
            if i == 0:
                layers.append(Dropout(dropout))
    return nn.Sequential(*layers)
