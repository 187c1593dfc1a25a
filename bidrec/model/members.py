"""Towers side by side: each pair of a notice and a company tower learns for itself, and their cosines are averaged.

Two pairs that begin differently err differently: together they rank better than one, and better than one that is twice
as wide. What is published has the length of one pair's vectors: those of all pairs, turned to their strongest axes.

Dimension letters: W = members * D, the length of the members' vectors side by side.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from bidrec.model.history import History, Vectors
from bidrec.model.rows import RowBatch
from bidrec.model.towers import HistoryTower, NoticeTower


class NoticeTowers(nn.Module):
    """RowBatch of notices -> (B, W) unit vectors."""

    def __init__(self, members: list[NoticeTower]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, batch: RowBatch) -> Tensor:
        return side_by_side([member(batch) for member in self.members])


class HistoryTowers(nn.Module):
    """As HistoryTower does, with vectors side by side; each member reads its own vectors of the notices."""

    def __init__(self, members: list[HistoryTower]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(
        self, notices: list[Vectors], history: History, version: RowBatch, profile: RowBatch, has_profile_B: Tensor
    ) -> Tensor:
        pairs = zip(self.members, notices, strict=True)
        return side_by_side([member(notice, history, version, profile, has_profile_B) for member, notice in pairs])


def side_by_side(parts: list[Tensor]) -> Tensor:
    """M times (B, D) unit vectors -> (B, W) unit vectors, whose products are the means of the parts' products."""
    return torch.cat(parts, dim=1) / len(parts) ** 0.5 if len(parts) > 1 else parts[0]


def apart(vector_BW: Tensor, members: int) -> list[Tensor]:
    """The unit vectors that stand side by side."""
    return [part * members**0.5 for part in vector_BW.chunk(members, dim=1)] if members > 1 else [vector_BW]


def vectors_of(notice_NW: Tensor, members: int) -> list[Vectors]:
    """Each member's vectors of notices, through which no gradients pass."""
    parts = notice_NW.detach().chunk(members, dim=1)
    return [Vectors(part[:0], part.contiguous(), members**0.5) for part in parts]


def vectors_through(fresh_FW: Tensor, cache_NW: Tensor, cached: Tensor, members: int) -> list[Vectors]:
    """Each member's vectors of the notices that pass gradients, and behind them of those `cached` (C,): rows of the
    cache."""
    found = []
    for fresh_FD, cache_ND in zip(fresh_FW.chunk(members, dim=1), cache_NW.chunk(members, dim=1), strict=True):
        fresh = len(fresh_FD)
        all_TD = cache_ND.new_empty(fresh + len(cached), cache_ND.shape[1])
        all_TD[:fresh] = fresh_FD.detach()
        torch.index_select(cache_ND, 0, cached, out=all_TD[fresh:])
        found.append(Vectors(fresh_FD, all_TD, members**0.5))
    return found


def strongest_axes(notice_NW: Tensor, company_KW: Tensor, dim: int) -> Tensor:
    """(W, dim) the orthogonal directions that keep most of both sides' vectors: where their mean squares are largest.

    One turn for both sides, so that a product of turned vectors is what is left of the product.
    """
    square_WW = torch.stack([x.double().T @ x.double() / max(1, len(x)) for x in (notice_NW, company_KW)]).sum(0)
    axes_WD = torch.linalg.eigh(square_WW).eigenvectors.flip(1)[:, :dim]
    # A direction is as good as its opposite: the same one each time.
    largest_1D = axes_WD.gather(0, axes_WD.abs().argmax(0, keepdim=True))
    return (axes_WD * largest_1D.sign()).to(notice_NW.dtype)


def turned(vector_BW: Tensor, axes_WD: Tensor) -> Tensor:
    """(B, D) unit vectors along the axes; a zero vector stays zero."""
    return functional.normalize(vector_BW @ axes_WD, dim=1)
