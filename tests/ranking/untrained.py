"""A run's folder with a model that nothing was learned by: its vectors are drawn, but of what is known alone."""

from dataclasses import asdict
from pathlib import Path

import torch

from bidrec.config import Model
from bidrec.model.two_tower import build
from bidrec.training import saved
from bidrec.training_set.arrays import TrainingSet

SMALL = Model(embedding_dim=8, table_dim=8, hidden=(8,), company_hidden=8, history_length=8)


def write_model(folder: Path, ts: TrainingSet, seed: int = 1) -> Path:
    torch.manual_seed(seed)
    model = build(SMALL, ts.schema)
    saved.save_model(folder, model.state_dict(), {"model": asdict(SMALL)})
    return folder
