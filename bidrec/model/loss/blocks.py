"""The softmax's denominator over a whole catalogue, in blocks of companies.

All scores of a batch against 10^6 companies are gigabytes, in the forward and again in the backward pass. Here a block
of them exists at a time: a running log-sum-exp forward, the block computed again backward.
"""

from typing import Any

import torch
from torch import Tensor


class _BlockedLogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, notice_BD: Tensor, company_KD: Tensor, scale: Tensor, log_weight_K: Tensor, block: int
    ) -> Tensor:
        total_B = torch.full((len(notice_BD),), -torch.inf, dtype=notice_BD.dtype, device=notice_BD.device)
        for company_kD, log_weight_k in zip(company_KD.split(block), log_weight_K.split(block), strict=True):
            logit_Bk = (notice_BD @ company_kD.T).mul_(scale).add_(log_weight_k)
            total_B = torch.logaddexp(total_B, logit_Bk.logsumexp(dim=1))
        ctx.save_for_backward(notice_BD, company_KD, scale, log_weight_K, total_B)
        ctx.block = block
        return total_B

    @staticmethod
    def backward(ctx: Any, gradient_B: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        notice_BD, company_KD, scale, log_weight_K, total_B = ctx.saved_tensors
        to_notice_BD, to_company_KD, to_scale = torch.zeros_like(notice_BD), [], torch.zeros_like(scale)
        for company_kD, log_weight_k in zip(company_KD.split(ctx.block), log_weight_K.split(ctx.block), strict=True):
            cosine_Bk = notice_BD @ company_kD.T
            share_Bk = (cosine_Bk * scale).add_(log_weight_k).sub_(total_B[:, None]).exp_().mul_(gradient_B[:, None])
            to_scale += (share_Bk * cosine_Bk).sum()
            to_notice_BD.addmm_(share_Bk, company_kD)
            to_company_KD.append(share_Bk.T @ notice_BD)
        return to_notice_BD * scale, torch.cat(to_company_KD) * scale, to_scale, None, None


def log_sum_exp(notice_BD: Tensor, company_KD: Tensor, scale: Tensor, log_weight_K: Tensor, block: int) -> Tensor:
    """(B,) log of the sum over companies of exp(cosine * scale + log_weight), `block` companies at a time.

    Gradients reach notices, companies and scale, equal to the dense ones; none reaches log_weight_K (K,), a constant.
    Memory: B * block scores, whatever K.
    """
    total_B: Tensor = _BlockedLogSumExp.apply(notice_BD, company_KD, scale, log_weight_K, block)
    return total_B
