"""Recall@100 on the window before the cutoff, companies frozen at the window's start: chooses when to stop."""

import torch
from torch import Tensor

from bidrec.model.towers import StaticTower
from bidrec.model.two_tower import TwoTower
from bidrec.operations import log
from bidrec.training.embed import company_vectors, notice_vectors
from bidrec.training.resident import Resident

NOTICES = 3000
"""At most this many notices, evenly spread over the window, are looked at."""
BLOCK = 512
"""Notices that are ranked at a time, at most."""
SCORES_AT_ONCE = 1 << 25
"""Scores in memory at a time, 128 MiB; a block has at least one notice."""
FEW = 100
"""A mean recall of fewer notices is known to no better than about five points, more than epochs differ by."""


def warn_of_few(data: Resident, validation_from: int, cutoff: int) -> None:
    """Log a warning where so few notices choose when to stop, and teach the second stage, that chance does."""
    notices, _ = window(data, validation_from, cutoff, NOTICES)
    if len(notices) < FEW:
        text = "few notices in the validation window: when to stop, and the second stage's weights, are near a guess"
        log.get("train").warning(text, notices=len(notices), hint="raise split.validation_days")


def validation_recall(model: TwoTower, data: Resident, validation_from: int, cutoff: int, k: int = 100) -> float:
    """Macro Recall@k over notices published in [validation_from, cutoff), counting bids known before the cutoff only.

    Returns NaN where the window holds no bid.
    """
    notices, bidders_QC = window(data, validation_from, cutoff, NOTICES)
    if not len(notices):
        return float("nan")
    # Histories may name any notice. Without them no other one is read: of a set on the disk, that would be all of it.
    static = isinstance(model.company, StaticTower)
    notice_ND = notice_vectors(model, data, notices if static else None)
    company_CD, known_C = company_vectors(model, data, notice_ND, validation_from)
    known = known_C.nonzero().flatten()
    return recall(notice_ND if static else notice_ND[notices], bidders_QC, company_CD[known], known, k)


def recall(notice_QD: Tensor, bidders_QC: list[Tensor], company_KD: Tensor, company_K: Tensor, k: int = 100) -> float:
    """Macro Recall@k of ranking the companies `company_K` (rows) for each notice; bidders not among them are missed."""
    if not len(company_K):
        return 0.0
    recalls = []
    block = min(BLOCK, max(1, SCORES_AT_ONCE // len(company_K)))
    for begin in range(0, len(notice_QD), block):
        best_BK = (notice_QD[begin : begin + block] @ company_KD.T).topk(min(k, len(company_K)), dim=1).indices
        recalls += [
            float(torch.isin(bidders, top).sum()) / len(bidders)
            for bidders, top in zip(bidders_QC[begin : begin + block], company_K[best_BK].cpu(), strict=True)
        ]
    return sum(recalls) / len(recalls)


def window(data: Resident, validation_from: int, cutoff: int, at_most: int) -> tuple[Tensor, list[Tensor]]:
    """The window's notices that have a bid known before the cutoff, thinned evenly, and, on the host, their bidders."""
    inside = ((data.published_at >= validation_from) & (data.published_at < cutoff)).nonzero().flatten()
    position, company = data.bids_of(inside, cutoff)
    places, counts = torch.unique_consecutive(position, return_counts=True)
    bidders = list(company.cpu().split(counts.tolist()))
    stride = max(1, -(-len(places) // at_most))
    return inside[places[::stride]], bidders[::stride]
