"""Losses over cosine scores. Order of operations: scores, temperature, correction for sampling, loss."""

import torch
from torch import Tensor
from torch.nn import functional


def all_bidders_softmax(
    notice_BD: Tensor,
    company_KD: Tensor,
    scale: Tensor,
    notice_of_P: Tensor,
    company_of_P: Tensor,
    log_weight_K: Tensor,
) -> Tensor:
    """Softmax over the candidate companies with every bidder of a notice as a target, each notice weighing the same.

    notice_BD (B, D), company_KD (K, D) unit vectors; scale () = 1 / temperature; the P bids that happened are
    (notice_of_P, company_of_P), positions in the batch and among the candidates; log_weight_K (K,) is the log of how
    many companies a candidate stands for (0 for one that is there for itself): a uniform sample then estimates the
    full catalogue's softmax without bias in its sum. Returns a scalar; 0 where no bid is given.
    """
    log_share_BK = torch.log_softmax(notice_BD @ company_KD.T * scale + log_weight_K, dim=1)
    bidders_B = torch.bincount(notice_of_P, minlength=len(notice_BD)).to(notice_BD.dtype)
    per_bid = log_share_BK[notice_of_P, company_of_P] / bidders_B[notice_of_P]
    return -per_bid.sum() / (bidders_B > 0).sum().clamp(min=1)


def in_batch_softmax(notice_BD: Tensor, company_BD: Tensor, scale: Tensor) -> Tensor:
    """The seed's loss: each notice against the batch's companies; the diagonal holds the bids that happened.

    Other true bidders of a notice that share its batch count as negatives, and popular companies are drawn more
    often than others: both known faults of the recipe, kept for comparison.
    """
    target_B = torch.arange(len(notice_BD), device=notice_BD.device)
    return functional.cross_entropy(notice_BD @ company_BD.T * scale, target_B)
