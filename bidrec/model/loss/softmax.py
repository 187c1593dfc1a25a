"""Softmax losses: over candidates with every bidder as a target, and over a batch with its own bids as targets."""

import torch
from torch import Tensor
from torch.nn import functional

from bidrec.model.distinct import counts
from bidrec.model.loss.blocks import log_sum_exp


def all_bidders_softmax(
    notice_BD: Tensor,
    company_KD: Tensor,
    scale: Tensor,
    notice_of_P: Tensor,
    company_of_P: Tensor,
    log_weight_K: Tensor,
    block: int = 0,
) -> Tensor:
    """Softmax over the candidate companies with every bidder of a notice as a target, each notice weighing the same.

    notice_BD (B, D), company_KD (K, D) unit vectors; scale () = 1 / temperature; the P bids that happened are
    (notice_of_P, company_of_P), positions in the batch and among the candidates; log_weight_K (K,) is the log of how
    many companies a candidate stands for (0 for one that is there for itself): a uniform sample then estimates the
    full catalogue's softmax without bias in its sum. `block` companies are scored at a time; 0: all at once.
    Returns a scalar; 0 where no bid is given.
    """
    bidders_B = counts(notice_of_P, len(notice_BD)).to(notice_BD.dtype)
    if block:
        total_B = log_sum_exp(notice_BD, company_KD, scale, log_weight_K, block)
        cosine_P = (notice_BD[notice_of_P] * company_KD[company_of_P]).sum(dim=1)
        log_share_P = cosine_P * scale + log_weight_K[company_of_P] - total_B[notice_of_P]
    else:
        # The scale on the narrow side: on the scores it would cost two more passes over (B, K), forth and back.
        log_share_BK = torch.log_softmax(torch.addmm(log_weight_K, notice_BD * scale, company_KD.T), dim=1)
        log_share_P = log_share_BK[notice_of_P, company_of_P]
    return -(log_share_P / bidders_B[notice_of_P]).sum() / (bidders_B > 0).sum().clamp(min=1)


def distinct_softmax(
    notice_UD: Tensor,
    company_VD: Tensor,
    scale: Tensor,
    notice_of_P: Tensor,
    company_of_P: Tensor,
    log_weight_V: Tensor,
    bids: int,
) -> Tensor:
    """`diagonal_softmax` of P bids without a row or a column twice: their U notices and V companies, each bid's place
    among them, and the log of what a company weighs: how many of the bids it stands for. A scalar: the sum over the P
    bids, divided by `bids`, P or how many these are a part of."""
    log_share_UV = torch.log_softmax(torch.addmm(log_weight_V, notice_UD * scale, company_VD.T), dim=1)
    own_P = notice_of_P * len(company_VD) + company_of_P
    # Each bid is one own of the count that its company's logit stands for.
    log_share_P = log_share_UV.flatten().index_select(0, own_P)
    return (log_weight_V.index_select(0, company_of_P) - log_share_P).sum() / bids


def diagonal_softmax(logit_RK: Tensor) -> Tensor:
    """Each row's bid is the candidate on the diagonal, all others are its negatives; the first R of K are the rows'."""
    return functional.cross_entropy(logit_RK, torch.arange(len(logit_RK), device=logit_RK.device))


def multi_positive_softmax(logit_RK: Tensor, target_RK: Tensor) -> Tensor:
    """Every candidate marked in `target_RK` (bool, at least one a row) is a target of the row, with equal shares."""
    log_share_RK = torch.log_softmax(logit_RK, dim=1).masked_fill(~target_RK, 0)
    return -(log_share_RK.sum(dim=1) / target_RK.sum(dim=1)).mean()
