"""A run's evaluation on the test window: final ranking, towers and baselines, frozen at the cutoff and refreshed.

Reads   runs/ID/training_set, runs/ID/model, runs/ID/second_stage; for a simulated source also its oracle
Returns what becomes runs/ID/metrics.json and runs/ID/details.json
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bidrec.config import Config, Evaluation
from bidrec.operations import log
from bidrec.operations.progress import Counted
from bidrec.ranking.baselines import fit_baselines
from bidrec.ranking.calibration import reliability
from bidrec.ranking.counts import Fields
from bidrec.ranking.eligibility import Eligibility, Eligible
from bidrec.ranking.evaluate import NOBODY, Period, evaluate_periods, rank_and_read
from bidrec.ranking.ground_truth import Truth, known_companies, refreshes
from bidrec.ranking.metrics import DEPTH, NOT_LISTED, ranks_of
from bidrec.ranking.names import MODEL, ORACLE, TOWERS
from bidrec.ranking.pair_features import Evidence, Towers
from bidrec.ranking.ranker import Ranker
from bidrec.ranking.reranker import Blend, FinalRanker, Once
from bidrec.ranking.slices import at_strengths, labels_of, newcomers
from bidrec.runs.run import Run
from bidrec.simulator.oracle import Oracle, has_oracle
from bidrec.training_set.arrays import TrainingSet

NOTICES = 20
LISTED = 5
"""Companies shown of each."""


def examples(
    final: FinalRanker,
    truth: Truth,
    candidates_C: npt.NDArray[np.bool_],
    notice_ids: list[str],
    company_ids: list[str],
) -> list[dict[str, Any]]:
    """Notices evenly spread over the window, whatever their lists are like: `notice_id`, `bidders`, how many of them
    are among the first 10 and 100 (`found@10`, `found@100`), and the first `companies`: id, probability, whether it
    bid."""
    chosen = np.unique(np.linspace(0, len(truth.notices) - 1, NOTICES).astype(np.int64))
    rows = truth.notices[chosen]
    once = Once(final, rows)
    (found,) = rank_and_read([once], rows, candidates_C, DEPTH, NOBODY, final.evidence.eligible)
    listed_QK, probability_of = found.listed_QK, _probabilities(once)
    described = []
    for at, position in enumerate(chosen):
        company = truth.company[truth.query == position]
        place = ranks_of(listed_QK[at : at + 1], np.zeros(len(company), np.int64), company)
        first = listed_QK[at, :LISTED][listed_QK[at, :LISTED] >= 0]
        described.append(
            {
                "notice_id": notice_ids[rows[at]],
                "bidders": len(company),
                "found@10": int((place < 10).sum()),
                "found@100": int((place < NOT_LISTED).sum()),
                "companies": [
                    {
                        "company_id": company_ids[row],
                        "probability": round(probability_of.get((at, int(row)), 0.0), 4),
                        "bid": bool(row in company),
                    }
                    for row in first
                ],
            }
        )
    return described


def _probabilities(final: Once) -> dict[tuple[int, int], float]:
    """(position in its notices, company row) -> the probability of each candidate, which no exposure lowers; who stands
    after the candidates has none that counts."""
    query, company, score = final.pairs
    keys = zip(query.tolist(), company.tolist(), strict=True)
    return dict(zip(keys, final.ranker.blend.probabilities(score).tolist(), strict=True))


Int64 = npt.NDArray[np.int64]


def evaluate_run(config: Config, run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    """Rank every test notice's candidates: the final ranking, its towers alone, the baselines and, if any, the oracle.

    Two modes: `frozen`, companies and baselines as of the cutoff; `rolling`, renewed every `evaluation.refresh_days`
    with what became known by then, as a nightly write-back would, the weights unchanged. `for_companies` is the other
    way round, rolling. Everything but that, metrics["rolling"], by_week["rolling"] and rolling_difference speaks of
    the frozen mode, also `calibration`: how well the probabilities of bidding hold (calibration.py),
    `segments`, `newcomers` (newcomers.py) and `exposure` (exposure.py). Raises InputMissing (66) where the test window
    holds no bid. A company that may not bid on a notice is no candidate for it. The second of what is returned are
    details to look at: `examples`.
    """
    rankers = _Rankers.of(config, run)
    ts = rankers.ts
    truth = Truth.of(ts, ts.cutoff, ts.test_before).thinned(config.evaluation.notices)
    metrics, shown = _frozen(truth, rankers)
    if config.evaluation.refresh_days:
        rolling = _rolling(config.evaluation, truth, rankers)
        metrics["metrics"] |= rolling["metrics"]
        metrics["by_week"] |= rolling["by_week"]
        metrics["for_companies"] = rolling["for_companies"]
        metrics["rolling_difference"] = rolling["difference"]
    log.get("evaluate").info("evaluated", notices=metrics["window"]["notices"], seconds=metrics["seconds"])
    return metrics, {"examples": shown}


@dataclass(frozen=True)
class _Rankers:
    """All rankers of a run at any moment, and what of them does not depend on it."""

    config: Config
    ts: TrainingSet
    towers: Towers
    fields: Fields
    blend: Blend
    eligibility: Eligibility
    oracle: dict[str, Ranker]
    """Empty where the source is not simulated."""

    @classmethod
    def of(cls, config: Config, run: Run) -> "_Rankers":
        ts = TrainingSet.open(run.training_set)
        source = Path(run.settings()["source"]["path"])  # the run's own, which the caller's configuration need not name
        oracle: dict[str, Ranker] = {ORACLE: OracleRanker(source, ts)} if has_oracle(source) else {}
        blend, eligibility = Blend.load(run.second_stage), Eligibility.of(ts, config.ranking)
        return cls(config, ts, Towers(ts, run.model), Fields.of(ts), blend, eligibility, oracle)

    def final_as_of(self, moment: int, notices: Int64, looked_at: Counted) -> Once:
        ts, settings = self.ts, self.config.ranking
        vectors, known_C = self.towers.as_of(moment), known_companies(ts, moment)
        evidence = Evidence(ts, self.fields, moment, vectors, known_C, self.eligibility, settings)
        return Once(FinalRanker(evidence, self.blend, settings), notices, looked_at)

    def period(self, queries: slice, moment: int, final: Once) -> Period:
        evidence, settings = final.ranker.evidence, self.config.evaluation
        rankers: dict[str, Ranker] = {MODEL: final, TOWERS: evidence.vectors}
        counted = evidence.counts if self.config.ranking.half_life == settings.backoff_half_life else None
        rankers |= fit_baselines(self.ts, self.fields, moment, settings, counted) | self.oracle
        return Period(queries, rankers, known_companies(self.ts, moment), evidence.eligible)


def _frozen(truth: Truth, rankers: _Rankers) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Everything that is told of the mode `frozen`, and examples. Its rankers, gigabytes in a large market, go then."""
    ts, settings = rankers.ts, rankers.config.evaluation
    final = rankers.final_as_of(ts.cutoff, truth.notices, _looked_at(truth))
    evidence = final.ranker.evidence
    _count_ineligible(truth, evidence.eligible)
    whole = rankers.period(slice(0, len(truth.notices)), ts.cutoff, final)
    metrics = evaluate_periods([whole], truth, settings, model=MODEL, mode="frozen", segments=labels_of(ts, truth))
    _warn_of_few(metrics["window"]["candidates"])
    metrics["newcomers"] = newcomers(metrics["segments"]["company"], MODEL)
    metrics["calibration"] = _calibration(truth, final.pairs, rankers.blend)
    metrics["exposure"] = at_strengths(final.pairs, evidence.lasting_C, truth, whole.candidates_C, settings.exposures)
    return metrics, examples(final.ranker, truth, whole.candidates_C, ts.notice_ids(), ts.company_ids())


def _rolling(settings: Evaluation, truth: Truth, rankers: _Rankers) -> dict[str, Any]:
    """A stretch of the window at a time, so that one moment's rankers are in memory."""
    stretches = refreshes(truth, settings.refresh_days)
    looked_at = _looked_at(truth)
    renewed = (
        rankers.period(queries, moment, rankers.final_as_of(moment, truth.notices[queries], looked_at))
        for queries, moment in stretches
    )
    return evaluate_periods(renewed, truth, settings, model=MODEL, other_way=True)


def _looked_at(truth: Truth) -> Counted:
    return Counted(log.get("evaluate"), "looking at test notices", len(truth.notices))


def _count_ineligible(truth: Truth, eligible: Eligible) -> None:
    """Somebody who bids and may not is an error of the data, or a limit that says something else than we read."""
    bids = int(np.count_nonzero(~eligible.pairs(truth.notices[truth.query], truth.company)))
    if bids:
        text = "bids by companies that may not bid count as misses"
        log.get("evaluate").warning(text, bids=bids, of=len(truth.company))


def _warn_of_few(candidates: int) -> None:
    """A list that holds everybody has found everybody, in whatever order."""
    if candidates <= DEPTH:
        log.get("evaluate").warning(
            f"lists of {DEPTH} hold all the candidates: Recall@{DEPTH} is about the same for every ranker, so the gate "
            "passes or refuses by nothing, and the epoch to stop at was chosen by nothing",
            candidates=candidates,
            hint="compare NDCG@10, MRR and R@10 with the baselines' before you publish",
        )


def _calibration(truth: Truth, pairs: tuple[np.ndarray, np.ndarray, np.ndarray], blend: Blend) -> dict[str, Any]:
    """How well the probabilities of the candidates, final.pairs of the truth's notices, hold on the test window."""
    query, company, score = pairs
    span = len(truth.known_bids)
    bid = np.isin(query * span + company, truth.query * span + truth.company)
    return reliability(blend.probabilities(score), bid, query, np.bincount(truth.query))


class OracleRanker:
    """The true bid intensities of a simulated market: what no model can beat."""

    def __init__(self, folder: Path, ts: TrainingSet) -> None:
        self.oracle = Oracle(folder)
        self.notice_ids, self.company_ids = ts.notice_ids(), ts.company_ids()

    def scores(self, notice_rows: np.ndarray) -> np.ndarray:
        """(B,) notice rows -> (B, C) log intensities."""
        return self.oracle.scores([self.notice_ids[row] for row in notice_rows], self.company_ids)
