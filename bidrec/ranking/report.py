"""A run's evaluation: its towers beside the baselines on the test window, frozen at the cutoff and refreshed.

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
from bidrec.ranking.evaluate import Period, evaluate_periods
from bidrec.ranking.ranker import VectorRanker
from bidrec.ranking.truth import Truth, known_companies
from bidrec.runs import Run
from bidrec.simulator.oracle import Oracle, has_oracle
from bidrec.training.embed import company_vectors, notice_vectors
from bidrec.training.loop import load_model
from bidrec.training.resident import Resident
from bidrec.training_set.load import TrainingSet

DAY = 86_400


def evaluate_run(config: Config, run: Run) -> dict[str, Any]:
    """Rank every test notice's candidates with the run's model, the baselines and, where there is one, the oracle.

    Two modes: `frozen`, companies and baselines as of the cutoff; `rolling`, renewed every `evaluation.refresh_days`
    with what became known by then, as a nightly write-back would, the weights unchanged. Everything but
    metrics["rolling"] and rolling_difference speaks of the frozen mode. Raises InputMissing (66) where the test window
    holds no bid.
    """
    ts = TrainingSet.open(run.training_set)
    truth = Truth.of(ts, ts.cutoff, ts.test_before)
    source = Path(run.settings()["source"]["path"])  # the run's own, which the caller's configuration need not name
    oracle = {"oracle": OracleRanker(source, ts)} if has_oracle(source) else {}
    towers = Towers(ts, run.model)

    def period(queries: slice, as_of: int) -> Period:
        rankers = {"towers": towers.as_of(as_of), **fit_baselines(ts, as_of, config.evaluation), **oracle}
        return Period(queries, rankers, known_companies(ts, as_of))

    frozen = evaluate_periods(
        [period(slice(0, len(truth.notices)), ts.cutoff)], truth, config.evaluation, mode="frozen"
    )
    if config.evaluation.refresh_days:
        stretches = refreshes(ts, truth, config.evaluation.refresh_days)
        rolling = evaluate_periods((period(*stretch) for stretch in stretches), truth, config.evaluation)
        frozen["metrics"] |= rolling["metrics"]
        frozen["rolling_difference"] = rolling["difference"]
    log.get("evaluate").info("evaluated", notices=frozen["window"]["notices"], seconds=frozen["seconds"])
    return frozen


def refreshes(ts: TrainingSet, truth: Truth, days: int) -> list[tuple[slice, int]]:
    """Where the truth's notices are cut every `days` days from its beginning, and the moment of each cut in seconds."""
    cuts = np.arange(truth.lo, truth.hi, days * DAY)
    first = np.searchsorted(ts.notice_published_at[truth.notices], [*cuts, truth.hi])
    found = zip(first[:-1], first[1:], cuts, strict=True)
    return [(slice(int(a), int(b)), int(cut)) for a, b, cut in found if b > a]


class Towers:
    """A run's model over its training set; the notices are embedded once, the companies at each moment asked for."""

    def __init__(self, ts: TrainingSet, model_folder: Path) -> None:
        self.model = load_model(ts.schema, model_folder)
        self.data = Resident.of(ts, torch.device("cpu"))
        self.notice_ND = notice_vectors(self.model, self.data)

    def as_of(self, moment: int) -> VectorRanker:
        """Companies with what was known strictly before `moment` (epoch seconds UTC)."""
        company_CD, _ = company_vectors(self.model, self.data, self.notice_ND, moment - 1)
        return VectorRanker(self.notice_ND.numpy(), company_CD.numpy())


class OracleRanker:
    """The true bid intensities of a simulated market: what no model can beat."""

    def __init__(self, folder: Path, ts: TrainingSet) -> None:
        self.oracle = Oracle(folder)
        self.notice_ids, self.company_ids = ts.notice_ids(), ts.company_ids()

    def scores(self, notice_rows: np.ndarray) -> np.ndarray:
        """(B,) notice rows -> (B, C) log intensities."""
        return self.oracle.scores([self.notice_ids[row] for row in notice_rows], self.company_ids)
