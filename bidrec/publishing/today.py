"""Everything as it stands today, in a run's vectors: those that appeared after training included.

Reads   features/, runs/ID/training_set (its vocabularies and scalers), runs/ID/model
Returns vectors of all notices and all known companies, as of a moment
"""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bidrec.config import Config
from bidrec.runs import Run
from bidrec.training_set.build import build_training_set
from bidrec.training_set.load import TrainingSet
from bidrec.training_set.statistics import Figures

if TYPE_CHECKING:
    from bidrec.features.schema import Schema


@dataclass(frozen=True)
class Vectors:
    """N notices and C companies, unit vectors of length D; `as_of` in epoch seconds (UTC)."""

    as_of: int
    notice_ids: list[str]
    notice_ND: np.ndarray
    company_ids: list[str]
    company_CD: np.ndarray
    statistics: Figures = field(default_factory=dict)
    """The newest rows' figures (bidrec.training_set.statistics)."""


def embed_today(config: Config, schema: "Schema", run: Run, as_of: int | None = None) -> Vectors:
    """Encode today's features with the run's fit and embed them with its weights.

    `as_of` None means the newest moment at which anything in the features became known. Raises ContractError (65) where
    the newest features have shifted beyond the bounds of [drift].
    """
    import torch

    from bidrec.training.embed import company_vectors, notice_vectors
    from bidrec.training.loop import load_model
    from bidrec.training.resident import Resident

    config.home_path.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".today.", dir=config.home_path) as temporary:
        folder = Path(temporary) / "training_set"
        manifest = build_training_set(config, schema, folder, fitted=run.training_set, as_of=as_of)
        ts = TrainingSet.open(folder)
        model = load_model(ts.schema, run.model)
        data = Resident.of(ts, torch.device("cpu"))
        as_of = as_of if as_of is not None else newest_known_at(ts)
        notice_ND = notice_vectors(model, data)
        company_CD, known_C = company_vectors(model, data, notice_ND, as_of)
        published_N = data.published_at <= as_of
        return Vectors(
            as_of=as_of,
            notice_ids=_chosen(ts.notice_ids(), published_N.numpy()),
            notice_ND=notice_ND[published_N].numpy(),
            company_ids=_chosen(ts.company_ids(), known_C.numpy()),
            company_CD=company_CD[known_C].numpy(),
            statistics=manifest["statistics"],
        )


def newest_known_at(ts: TrainingSet) -> int:
    """The newest publication, opening or profile in the data, in epoch seconds (UTC)."""
    times = (ts.notice_published_at, ts.version_known_at)
    return max(int(column.max()) for column in times if len(column))


def _chosen(ids: list[str], keep: np.ndarray) -> list[str]:
    return [ids[i] for i in np.flatnonzero(keep)]
