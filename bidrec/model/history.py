"""What is known of companies' bids as of a moment, and their means through the notices' vectors.

Serves  the company tower; bidrec.training.resident gathers it

The bids of all companies lie one after the other: most companies have a few, and a place for each of the longest
history's would be empty four times out of five.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bidrec.model.distinct import grouped
from bidrec.model.rows import totals


@dataclass(frozen=True)
class Vectors:
    """The vectors of the N notices that histories name: `scale` times the rows of all_ND (N, D), which lie together.

    Gradients pass through the first F of them alone, whose rows are fresh_FD (F, D): the others are read from a cache,
    and to work out gradients that nobody asks for was a third of a step.
    """

    fresh_FD: Tensor
    all_ND: Tensor
    scale: float = 1.0

    def gates(self, gate_HD: Tensor) -> Tensor:
        """(N, H) the vectors' products with H others."""
        rest_NH = self.all_ND[len(self.fresh_FD) :] @ gate_HD.T
        return self.scale * torch.cat([self.fresh_FD @ gate_HD.T, rest_NH])


@dataclass(frozen=True)
class History:
    """The last known bids of B companies, company after company, each one's newest first.

    notice_E (E,) int64 notice rows, age_days_E (E,) float32 days from the bid's opening to the as-of, begin_B (B + 1,)
    int64 where a company's bids begin, count_B (B,) all bids known, also those that are not among its last.
    """

    notice_E: Tensor
    age_days_E: Tensor
    begin_B: Tensor
    count_B: Tensor

    def split(self, sizes: list[int]) -> "list[History]":
        """The companies in parts of these sizes; their bids without a copy."""
        bids = totals(self.begin_B, sizes)
        begins = [self.begin_B[end - size : end + 1] for end, size in zip(accumulate(sizes), sizes, strict=True)]
        columns = self.notice_E.split(bids), self.age_days_E.split(bids), begins, self.count_B.split(sizes)
        return [
            History(notice_E, age_days_E, begin_B - begin_B[0], count_B)
            for notice_E, age_days_E, begin_B, count_B in zip(*columns, strict=True)
        ]

    @cached_property
    def company_E(self) -> Tensor:
        """(E,) whose bid it is: a place among the B companies."""
        companies = torch.arange(len(self.count_B), device=self.begin_B.device)
        return companies.repeat_interleave(self.begin_B.diff(), output_size=len(self.notice_E))

    def on_first(self, notices: int) -> tuple[Tensor, Tensor]:
        """The bids (L,) on the first so many notices, in the order of these, and where each one's begin (notices + 1,).
        Worked out once: all half-lives and towers ask for the same."""
        if notices not in self._on_first:
            bid_L = (self.notice_E < notices).nonzero().flatten()
            order_L, begin = grouped(self.notice_E[bid_L], notices)
            self._on_first[notices] = bid_L[order_L], begin
        return self._on_first[notices]

    @cached_property
    def _on_first(self) -> dict[int, tuple[Tensor, Tensor]]:
        return {}

    def newest(self) -> tuple[Tensor, Tensor]:
        """(B,) days since the newest bid, 0 where there is none, and (B,) bool whether there is one."""
        ages = torch.cat([self.age_days_E, self.age_days_E.new_zeros(1)])
        has_B = self.begin_B.diff() > 0
        return ages[self.begin_B[:-1]] * has_B, has_B

    def means(self, notice: Vectors, gate_HD: Tensor, half_lives: Sequence[float]) -> tuple[list[Tensor], Tensor]:
        """For each of H half-lives (days) the mean (B, D) of companies' notices' vectors; and the weights' sums (B, H).

        A bid weighs exp(its notice's vector's product with the gate) and half as much with each half-life of its age.
        Without bids: zeros.
        """
        decay_H = torch.cat([gate_HD.new_full((1,), math.log(2) / days) for days in half_lives])
        gate_EH = notice.gates(gate_HD).float().index_select(0, self.notice_E)
        weight_EH = torch.exp(gate_EH - self.age_days_E[:, None] * decay_H)
        total_BH = weight_EH.new_zeros(len(self.count_B), len(half_lives)).index_add(0, self.company_E, weight_EH)
        share_HE = (weight_EH / total_BH.clamp(min=1e-9).index_select(0, self.company_E)).T.contiguous()
        sums = [_WeightedSum.apply(notice.fresh_FD, share_E, notice.all_ND, self) for share_E in share_HE]
        return [notice.scale * sum_BD for sum_BD in sums], total_BH


class _WeightedSum(torch.autograd.Function):
    """(B, D) for each company the sum of its notices' rows, of all_ND (N, D), times the bids' weights (E,).

    Gradients of rows are worked out for the first F alone, fresh_FD (F, D), from the bids on these.
    """

    @staticmethod
    def forward(ctx: Any, fresh_FD: Tensor, weight_E: Tensor, all_ND: Tensor, history: History) -> Tensor:
        ctx.history, ctx.fresh = history, len(fresh_FD)
        ctx.save_for_backward(weight_E, all_ND)
        return _sums(all_ND, history.notice_E, history.begin_B, weight_E)

    @staticmethod
    def backward(ctx: Any, gradient_BD: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        weight_E, all_ND = ctx.saved_tensors
        history, gradient_BD = ctx.history, gradient_BD.contiguous()
        of_fresh = of_weights = None
        if ctx.needs_input_grad[0]:
            bid_L, begin_F = history.on_first(ctx.fresh)
            company_L, weight_L = history.company_E.index_select(0, bid_L), weight_E.index_select(0, bid_L)
            of_fresh = _sums(gradient_BD, company_L, begin_F, weight_L)
        if ctx.needs_input_grad[1]:
            of_weights = _products(gradient_BD, all_ND, history)
        return of_fresh, of_weights, None, None


def _products(gradient_BD: Tensor, all_ND: Tensor, history: History) -> Tensor:
    """(E,) of each bid the product of its company's gradient with its notice's row."""
    size, bids = (len(gradient_BD), len(all_ND)), len(history.notice_E)
    # On a CPU a product of matrices of which only some places are asked for takes half the time. Their places must be
    # as many as the bids, of which companies may have several on a notice.
    if gradient_BD.device.type == "cpu" and bids <= size[0] * size[1]:
        asked = torch.sparse_csr_tensor(
            history.begin_B, history.notice_E, all_ND.new_zeros(bids), size, check_invariants=False
        )
        return torch.sparse.sampled_addmm(asked, gradient_BD, all_ND.T, beta=0.0).values()
    product_E: Tensor = torch.ops.aten._embedding_bag_per_sample_weights_backward(
        gradient_BD, all_ND, history.notice_E, history.begin_B[:-1], history.company_E, 0
    )
    return product_E


def _sums(rows_RD: Tensor, row_E: Tensor, begin: Tensor, weight_E: Tensor) -> Tensor:
    return functional.embedding_bag(
        row_E, rows_RD, begin, per_sample_weights=weight_E, mode="sum", include_last_offset=True
    )
