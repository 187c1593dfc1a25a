"""Accidental hits: candidates of a batch that are true bidders of the notice, though not the bid the row is about."""

import torch
from torch import Tensor

from bidrec.model.distinct import distinct


def true_bids(row_E: Tensor, company_E: Tensor, rows: int, company_K: Tensor) -> Tensor:
    """(rows, K) bool: whether the candidate (its id in `company_K`, repeated or not) bid on the row's notice.

    The E bids are (row_E, company_E); those of companies that are no candidates are left out.
    """
    company_R, place_K, _ = distinct(company_K)
    place_E = torch.searchsorted(company_R, company_E.contiguous()).clamp(max=max(0, len(company_R) - 1))
    there = company_R[place_E] == company_E
    hit = torch.zeros(rows, len(company_R), dtype=torch.bool, device=company_K.device)
    hit[row_E[there], place_E[there]] = True
    return hit[:, place_K]


def without_hits(logit_RK: Tensor, hit_RK: Tensor) -> Tensor:
    """The logits with every hit but the row's own target (on the diagonal) at minus infinity: its weight is zero."""
    own = torch.eye(*logit_RK.shape, dtype=torch.bool, device=logit_RK.device)
    return logit_RK.masked_fill(hit_RK & ~own, -torch.inf)
