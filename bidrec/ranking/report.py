"""A run's evaluation on the test window: final ranking, towers and baselines, frozen at the cutoff and refreshed.

Reads   runs/ID/training_set, runs/ID/model, runs/ID/second_stage; for a simulated source also its oracle
Returns what becomes runs/ID/metrics.json
"""

from pathlib import Path
from typing import Any

import numpy as np

from bidrec import log
from bidrec.config import Config
from bidrec.ranking.baselines import fit_baselines
from bidrec.ranking.baselines.fields import Fields
from bidrec.ranking.evaluate import Period, evaluate_periods
from bidrec.ranking.ranker import Ranker
from bidrec.ranking.second_stage.blend import Blend
from bidrec.ranking.second_stage.evidence import Evidence
from bidrec.ranking.second_stage.final import FinalRanker
from bidrec.ranking.towers import Towers
from bidrec.ranking.truth import Truth, known_companies, refreshes
from bidrec.runs import Run
from bidrec.simulator.oracle import Oracle, has_oracle
from bidrec.training_set.load import TrainingSet

MODEL = "final"
"""The ranking that is published, and that has to beat the baselines."""


def evaluate_run(config: Config, run: Run) -> dict[str, Any]:
    """Rank every test notice's candidates: the final ranking, its towers alone, the baselines and, if any, the oracle.

    Two modes: `frozen`, companies and baselines as of the cutoff; `rolling`, renewed every `evaluation.refresh_days`
    with what became known by then, as a nightly write-back would, the weights unchanged. `for_companies` is the other
    way round, rolling. Everything but that, metrics["rolling"] and rolling_difference speaks of the frozen mode. Raises
    InputMissing (66) where the test window holds no bid.
    """
    ts = TrainingSet.open(run.training_set)
    truth = Truth.of(ts, ts.cutoff, ts.test_before)
    source = Path(run.settings()["source"]["path"])  # the run's own, which the caller's configuration need not name
    oracle = {"oracle": OracleRanker(source, ts)} if has_oracle(source) else {}
    towers, fields, blend = Towers(ts, run.model), Fields.of(ts), Blend.load(run.second_stage)

    def period(queries: slice, as_of: int) -> Period:
        vectors, known_C = towers.as_of(as_of), known_companies(ts, as_of)
        final = FinalRanker(Evidence(ts, fields, as_of, vectors, known_C, config.ranking), blend, config.ranking)
        rankers: dict[str, Ranker] = {
            MODEL: final,
            "towers": vectors,
            **fit_baselines(ts, fields, as_of, config.evaluation),
            **oracle,
        }
        return Period(queries, rankers, known_C)

    frozen = evaluate_periods(
        [period(slice(0, len(truth.notices)), ts.cutoff)], truth, config.evaluation, model=MODEL, mode="frozen"
    )
    if config.evaluation.refresh_days:
        stretches = refreshes(ts, truth, config.evaluation.refresh_days)
        rolling = evaluate_periods(
            (period(*stretch) for stretch in stretches), truth, config.evaluation, model=MODEL, other_way=True
        )
        frozen["metrics"] |= rolling["metrics"]
        frozen["for_companies"] = rolling["for_companies"]
        frozen["rolling_difference"] = rolling["difference"]
    log.get("evaluate").info("evaluated", notices=frozen["window"]["notices"], seconds=frozen["seconds"])
    return frozen


class OracleRanker:
    """The true bid intensities of a simulated market: what no model can beat."""

    def __init__(self, folder: Path, ts: TrainingSet) -> None:
        self.oracle = Oracle(folder)
        self.notice_ids, self.company_ids = ts.notice_ids(), ts.company_ids()

    def scores(self, notice_rows: np.ndarray) -> np.ndarray:
        """(B,) notice rows -> (B, C) log intensities."""
        return self.oracle.scores([self.notice_ids[row] for row in notice_rows], self.company_ids)
