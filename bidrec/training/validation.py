"""Recall@100 on the window before the cutoff, companies frozen at the window's start: chooses when to stop."""

import torch
from torch import Tensor

from bidrec.model.two_tower import TwoTower
from bidrec.training.embed import company_vectors, notice_vectors
from bidrec.training.resident import Resident

NOTICES = 3000
"""At most this many notices, evenly spread over the window, are looked at."""


def validation_recall(model: TwoTower, data: Resident, validation_from: int, cutoff: int, k: int = 100) -> float:
    """Macro Recall@k over notices published in [validation_from, cutoff), counting bids known before the cutoff only.

    Returns NaN where the window holds no bid.
    """
    notices, bidders_PC = _window(data, validation_from, cutoff)
    if not len(notices):
        return float("nan")
    all_notices_ND = notice_vectors(model, data)
    company_CD, known_C = company_vectors(model, data, all_notices_ND, validation_from)
    known = known_C.nonzero().flatten()
    if not len(known):
        return 0.0
    recalls = []
    for block in torch.arange(len(notices), device=data.device).split(512):
        score_BK = all_notices_ND[notices[block]] @ company_CD[known].T
        top_BK = known[score_BK.topk(min(k, len(known)), dim=1).indices]
        recalls += [
            float(torch.isin(bidders_PC[int(i)], top).sum()) / len(bidders_PC[int(i)])
            for i, top in zip(block, top_BK, strict=True)
        ]
    return sum(recalls) / len(recalls)


def _window(data: Resident, validation_from: int, cutoff: int) -> tuple[Tensor, list[Tensor]]:
    """The window's notices that have a bid known before the cutoff, thinned evenly, and their bidders."""
    published = data.published_at[data.pair_notice.long()]
    inside = (published >= validation_from) & (published < cutoff) & (data.pair_known_at < cutoff)
    notice, company = data.pair_notice[inside].long(), data.pair_company[inside].long()
    notices, counts = torch.unique_consecutive(notice, return_counts=True)
    bidders = list(company.split(counts.tolist()))
    stride = max(1, -(-len(notices) // NOTICES))
    return notices[::stride], bidders[::stride]
