"""A run's model over its training set: all notices embedded once, the companies at each moment asked for.

Reads   runs/ID/training_set, runs/ID/model or runs/ID/validated
"""

from pathlib import Path

import torch

from bidrec.ranking.ranker import VectorRanker
from bidrec.training.embed import company_vectors, notice_vectors
from bidrec.training.resident import Resident
from bidrec.training.saved import load_model
from bidrec.training_set.load import TrainingSet


class Towers:
    """A run's model over its training set; the notices are embedded once, the companies at each moment asked for."""

    def __init__(self, ts: TrainingSet, model_folder: Path) -> None:
        self.model = load_model(ts.schema, model_folder)
        self.data = Resident.of(ts, torch.device("cpu"))
        self._notice_NW = notice_vectors(self.model, self.data)
        self.notice_ND = self.model.published(self._notice_NW)

    def as_of(self, moment: int) -> VectorRanker:
        """Companies with what was known strictly before `moment` (epoch seconds UTC)."""
        company_CW, _ = company_vectors(self.model, self.data, self._notice_NW, moment - 1)
        return VectorRanker(self.notice_ND.numpy(), self.model.published(company_CW).detach().numpy())
