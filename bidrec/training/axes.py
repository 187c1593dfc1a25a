"""The axes to which the members' vectors are turned for others: fitted when a training ends."""

import torch

from bidrec.model.members import strongest_axes
from bidrec.model.two_tower import TwoTower
from bidrec.training.embed import company_vectors, notice_vectors
from bidrec.training.resident import Resident


@torch.no_grad()
def fit_axes(model: TwoTower, data: Resident, known_before: int) -> None:
    """Set the axes of a model with several members by the notices published and the companies known before that time
    (epoch seconds UTC)."""
    if model.members == 1:
        return
    notice_NW = notice_vectors(model, data)
    company_CW, known_C = company_vectors(model, data, notice_NW, known_before - 1)
    before_NW = notice_NW[data.published_at < known_before]
    model.axes.copy_(strongest_axes(before_NW, company_CW[known_C], model.axes.shape[1]))
