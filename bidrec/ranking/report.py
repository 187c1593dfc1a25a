"""A run's evaluation: its towers beside the baselines, on the test window, companies frozen at the cutoff.

Reads   runs/ID/training_set, runs/ID/model; for a simulated source also its oracle
Returns what becomes runs/ID/metrics.json
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from bidrec import log
from bidrec.config import Config
from bidrec.ranking.baselines import fit_baselines
from bidrec.ranking.evaluate import evaluate
from bidrec.ranking.ranker import Ranker, VectorRanker
from bidrec.ranking.truth import Truth, known_companies
from bidrec.runs import Run
from bidrec.simulator.oracle import Oracle, has_oracle
from bidrec.training.embed import company_vectors, notice_vectors
from bidrec.training.loop import load_model
from bidrec.training.resident import Resident
from bidrec.training_set.load import TrainingSet


def evaluate_run(config: Config, run: Run) -> dict[str, Any]:
    """Rank every test notice's candidates with the run's model, the baselines and, where there is one, the oracle.

    Raises InputMissing (66) where the test window holds no bid.
    """
    ts = TrainingSet.open(run.training_set)
    truth = Truth.of(ts, ts.cutoff, ts.test_before)
    rankers: dict[str, Ranker] = {"towers": frozen_towers(ts, run.model, ts.cutoff)}
    rankers |= fit_baselines(ts, ts.cutoff, config.evaluation)
    source = Path(run.settings()["source"]["path"])  # the run's own, which the caller's configuration need not name
    if has_oracle(source):
        rankers["oracle"] = OracleRanker(source, ts)
    found = evaluate(rankers, truth, known_companies(ts, ts.cutoff), config.evaluation)
    log.get("evaluate").info("evaluated", notices=found["window"]["notices"], seconds=found["seconds"])
    return found


def frozen_towers(ts: TrainingSet, model_folder: Path, as_of: int) -> VectorRanker:
    """The model as a ranker whose companies stop at `as_of` (epoch seconds UTC)."""
    model, data = load_model(ts.schema, model_folder), Resident.of(ts, torch.device("cpu"))
    notice_ND = notice_vectors(model, data)
    # Strictly before: what becomes known at the very cutoff is the test's.
    company_CD, _ = company_vectors(model, data, notice_ND, as_of - 1)
    return VectorRanker(notice_ND.numpy(), company_CD.numpy())


class OracleRanker:
    """The true bid intensities of a simulated market: what no model can beat."""

    def __init__(self, folder: Path, ts: TrainingSet) -> None:
        self.oracle = Oracle(folder)
        self.notice_ids, self.company_ids = ts.notice_ids(), ts.company_ids()

    def scores(self, notice_rows: np.ndarray) -> np.ndarray:
        """(B,) notice rows -> (B, C) log intensities."""
        return self.oracle.scores([self.notice_ids[row] for row in notice_rows], self.company_ids)
