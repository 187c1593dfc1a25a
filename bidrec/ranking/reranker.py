"""The linear re-ranker: one weight per pair feature, fitted on the validation window, and the final ranking.

Reads   runs/ID/training_set, runs/ID/{model,validated}
Writes  runs/ID/second_stage/

A candidate's score is the weighted sum of its standardised features. The weights minimise the softmax loss over a
notice's candidates with every bidder as a target (as the towers do), plus a pull towards PRIOR. calibration.py then
makes scores comparable across notices, and probabilities of them.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import optimize
from scipy.special import logsumexp

from bidrec.config import Config, Ranking
from bidrec.errors import ContractError, InputMissing
from bidrec.operations import log, machine
from bidrec.ranking.calibration import calibrate, heights
from bidrec.ranking.counts import Fields
from bidrec.ranking.eligibility import Eligibility
from bidrec.ranking.ground_truth import Truth, known_companies, refreshes
from bidrec.ranking.pair_features import FIXED, NEWCOMERS, Evidence, Towers, candidates_of, names_of
from bidrec.runs.run import Run
from bidrec.storage.intact import is_whole
from bidrec.storage.sealed import read_json, read_manifest, write_json, write_manifest
from bidrec.storage.whole import whole_folder
from bidrec.training_set.arrays import TrainingSet

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

PRIOR = {"towers": 0.4, "alike notices": 0.4, "near notices": 0.8}
"""Weights before anything is learned; near what three markets give."""
PULL = 0.01
"""How strongly the weights are pulled towards PRIOR: the price of a unit's square, in nats a notice. Of the signals of
newcomers it is as much less as these are few among the candidates: what they can teach is as little."""


@dataclass(frozen=True)
class Blend:
    """Signals by name and, in the same order, what is subtracted, divided by and multiplied with."""

    signals: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    weight: tuple[float, ...]
    notices: int
    """Of the validation window, learned from."""
    slope: float
    offset: float
    """A candidate bids with probability 1 / (1 + exp(-(slope * levelled score + offset)))."""
    level: float
    """How much of a notice's height its candidates' scores lose."""

    @property
    def counted(self) -> tuple[str, ...]:
        """The counted fields among the signals."""
        return tuple(name.removeprefix("same ") for name in self.signals[len(FIXED) :])

    def scores(self, signal_BMS: Float32) -> Float32:
        """(B, M, S) -> (B, M), which compare within a notice."""
        scale_S = np.array(self.weight, np.float32) / np.array(self.deviation, np.float32)
        shift = np.float32(np.array(self.mean, np.float32) @ scale_S)
        return np.asarray(signal_BMS @ scale_S - shift, np.float32)

    def levelled(self, score_BM: Float32, present_BM: Bool) -> Float32:
        """(B, M) scores of all candidates of B notices -> the same in the same order, which compare across notices."""
        return np.asarray(score_BM - np.float32(self.level) * heights(score_BM, present_BM)[:, None], np.float32)

    def probabilities(self, score: Float32) -> Float32:
        """Levelled scores, of any shape -> the probability that a candidate with such a score bids."""
        with np.errstate(over="ignore"):  # of a score far below all others: the probability is 0
            return np.asarray(1 / (1 + np.exp(-(self.slope * score + self.offset))), np.float32)

    def save(self, folder: Path) -> None:
        with whole_folder(folder) as staging:
            write_json(staging / "blend.json", asdict(self))
            write_manifest(staging, kind="second_stage")

    @classmethod
    def load(cls, folder: Path) -> "Blend":
        """Raises ContractError (65) where the folder is damaged or unfinished, or speaks of other signals."""
        if not is_whole(folder):
            raise ContractError(
                f"{folder} is damaged or unfinished", hint="restore the folder, or train again: bidrec train --force"
            )
        facts = read_json(folder / "blend.json")
        if tuple(facts["signals"][: len(FIXED)]) != FIXED:
            raise ContractError(
                f"{folder} was learned from other signals than these", hint="train again: bidrec train --force"
            )
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()
        }
        return cls(**values)


def learn(names: tuple[str, ...], signal_QMS: Float32, present_QM: Bool, bidder_QM: Bool) -> Blend:
    """Fit the weights on Q notices of the validation window.

    present_QM: which places hold a candidate; bidder_QM: which of them bid. Notices none of whose bidders is a
    candidate teach nothing.
    """
    seen = signal_QMS[present_QM] if present_QM.any() else np.zeros((1, len(names)), np.float32)
    mean_S, deviation_S = _moments(seen)
    prior_S = np.array([PRIOR.get(name, 0.0) for name in names])
    taught = bidder_QM.any(axis=1)
    weight_S = prior_S
    if taught.any():
        x_QMS = (signal_QMS[taught] - mean_S) / deviation_S
        weight_S = _fit(x_QMS, present_QM[taught], bidder_QM[taught], prior_S, _pulls(names, seen))
    columns = (mean_S, deviation_S, weight_S)
    mean, deviation, weight = (tuple(round(float(value), 6) for value in column) for column in columns)
    blend = Blend(names, mean, deviation, weight, int(taught.sum()), slope=1.0, offset=0.0, level=0.0)
    score_QM = blend.scores(signal_QMS)
    height_QM = np.broadcast_to(heights(score_QM, present_QM)[:, None], score_QM.shape)
    slope, offset, level = calibrate(score_QM[present_QM], height_QM[present_QM], bidder_QM[present_QM])
    return replace(blend, slope=round(slope, 6), offset=round(offset, 6), level=round(level, 6))


def _moments(seen_PS: Float32) -> tuple[Float32, Float32]:
    """(S,) the mean and the deviation of each signal over P candidates; a deviation of 1 where it is the same for all.

    A float32 sum over millions keeps too few digits to tell; one signal at a time, so that no wider copy is made.
    """
    moments = [(signal_P.mean(dtype=np.float64), signal_P.std(dtype=np.float64)) for signal_P in seen_PS.T]
    mean_S, deviation_S = np.array(moments).T
    deviation_S[deviation_S < 1e-6] = 1.0
    return mean_S.astype(np.float32), deviation_S.astype(np.float32)


def _pulls(names: tuple[str, ...], seen_PS: Float32) -> Float64:
    """(S,) the price of each weight's square, for the P candidates learned from."""
    share = {name: float((seen_PS[:, at] != 0).mean()) for at, name in enumerate(names) if name in NEWCOMERS}
    return np.array([PULL * share.get(name, 1.0) for name in names])


def _fit(x_QMS: Float32, present_QM: Bool, bidder_QM: Bool, prior_S: Float64, pull_S: Float64) -> Float64:
    """(S,) the weights at the minimum of the convex loss."""
    share_QM = bidder_QM / bidder_QM.sum(axis=1, keepdims=True)
    flat_RS, target_S = x_QMS.reshape(-1, x_QMS.shape[2]), np.einsum("qm,qms->s", share_QM, x_QMS)

    def loss(weight_S: Float64) -> tuple[float, Float64]:
        score_QM = (flat_RS @ weight_S.astype(np.float32)).reshape(present_QM.shape)
        height_Q = logsumexp(np.where(present_QM, score_QM, -np.inf), axis=1)
        softmax_QM = np.exp(np.where(present_QM, score_QM - height_Q[:, None], -np.inf)).astype(np.float32)
        apart_S, queries = weight_S - prior_S, len(height_Q)
        value = (height_Q.sum(dtype=np.float64) - target_S @ weight_S) / queries + pull_S @ apart_S**2
        gradient_S = (softmax_QM.ravel() @ flat_RS - target_S) / queries + 2 * pull_S * apart_S
        return float(value), gradient_S.astype(np.float64)

    found = optimize.minimize(loss, prior_S, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return np.asarray(found.x)


Int64 = npt.NDArray[np.int64]

BLOCK = 128
"""Notices looked at together."""
LOWEST = -1000.0
"""No candidate's score is below it; a blend gives some tens."""


@dataclass(frozen=True)
class FinalRanker:
    """Levelled scores of the blend for the candidates, which compare within a notice and across notices; every other
    company comes after them, in the towers' order."""

    evidence: Evidence
    blend: Blend
    settings: Ranking

    @property
    def penalty_C(self) -> Float32:
        """(C,) what each candidate's score loses for the exposure it has (`ranking.exposure`)."""
        return np.float32(self.settings.exposure) * self.evidence.lasting_C

    def scores(self, notice_rows: Int64) -> Float32:
        """(B,) notice rows -> (B, C), by which companies are ordered: less the penalty."""
        return self.laid_out(notice_rows, *self.pairs(notice_rows))

    def laid_out(self, notice_rows: Int64, notice: Int64, company: Int64, score: Float32) -> Float32:
        """The scores by these notices' pairs, that are there already."""
        # The same floor whatever is asked together: scores are compared across notices too. A cosine lies in [-1, 1].
        scores_BC = self.evidence.notice_ND[notice_rows] @ self.evidence.company_CD.T + np.float32(LOWEST - 2)
        scores_BC[notice, company] = np.maximum(score - self.penalty_C[company], np.float32(LOWEST))
        return np.asarray(scores_BC, np.float32)

    def pairs(
        self, notice_rows: Int64, looked_at: Callable[[int], None] = lambda notices: None
    ) -> tuple[Int64, Int64, Float32]:
        """All candidates of the notices (Q,): position in `notice_rows` and company row, both ascending, score, each
        (P,). Without the penalty: these are the scores that become probabilities. `looked_at` is told of the notices as
        they are done, so many at a time."""
        if not len(notice_rows):
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)

        def of_block(start: int) -> tuple[Int64, Int64, Float32]:
            company_BM, score_BM = self._candidates(notice_rows[start : start + BLOCK])
            row, place = np.nonzero(company_BM >= 0)
            return start + row, company_BM[row, place], score_BM[row, place]

        # SciPy's products, most of the work, run on one core each and let other threads run; torch's need no more then.
        parts, starts = [], range(0, len(notice_rows), BLOCK)
        with ThreadPoolExecutor(machine.cores(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for start, part in zip(starts, pool.map(of_block, starts), strict=True):
                parts.append(part)
                looked_at(min(BLOCK, len(notice_rows) - start))
        notice, company, score = (np.concatenate(column) for column in zip(*parts, strict=True))
        return notice, company, score

    def _candidates(self, notice_rows: Int64) -> tuple[Int64, Float32]:
        found = candidates_of(self.evidence, notice_rows, self.settings.candidates, self.blend.counted)
        score_BM = self.blend.levelled(self.blend.scores(found.signal_BMS), found.company_BM >= 0)
        return found.company_BM, np.maximum(score_BM, np.float32(LOWEST))


@dataclass(frozen=True)
class Once:
    """The final ranking of some notices, ascending, whose candidates are looked at once: when they are first asked for,
    stretch by stretch."""

    ranker: FinalRanker
    notices: Int64
    looked_at: Callable[[int], None] = lambda notices: None

    @cached_property
    def pairs(self) -> tuple[Int64, Int64, Float32]:
        return self.ranker.pairs(self.notices, self.looked_at)

    def scores(self, notice_rows: Int64) -> Float32:
        """(B,) rows that follow each other in `notices` -> (B, C), as those of `ranker`."""
        begin = np.searchsorted(self.notices, notice_rows[0])
        notice, company, score = self.pairs
        part = slice(*np.searchsorted(notice, [begin, begin + len(notice_rows)]))
        return self.ranker.laid_out(notice_rows, notice[part] - begin, company[part], score[part])


NOTICES = 3000
"""At most this many notices of the window, evenly spread, are learned from."""
REFRESH_DAYS = 7
"""What is known is brought up to date this often in the window: as a nightly write-back would, within a few days."""


def learn_blend(config: Config, run: Run, ts: TrainingSet) -> Blend:
    """Bids opened before the cutoff on notices of the validation window, each ranked with what was known before it."""
    fields = Fields.of(ts)
    blend = learn(names_of(list(fields.counted)), *_gathered(config, run, ts, fields))
    weights = {name: round(weight, 3) for name, weight in zip(blend.signals, blend.weight, strict=True)}
    log.get("second stage").info("blend learned", notices=blend.notices, weights=weights)
    return blend


def _gathered(config: Config, run: Run, ts: TrainingSet, fields: Fields) -> tuple[Float32, Bool, Bool]:
    """The window's Q notices in the order of _stretches: (Q, M, S) signals of their candidates, (Q, M) which places
    hold one, and which of these bid. Whatever a stretch's signals say was known before its moment."""
    counted, eligibility = list(fields.counted), Eligibility.of(ts, config.ranking)
    towers = Towers(ts, run.validated if read_manifest(run.validated) else run.model)
    parts, stretches, done = [], _stretches(ts), 0
    whole = sum(len(notices) for notices, *_ in stretches)
    for notices, moment, bids in stretches:
        vectors, known_C = towers.as_of(moment), known_companies(ts, moment)
        evidence = Evidence(ts, fields, moment, vectors, known_C, eligibility, config.ranking)
        for start in range(0, len(notices), BLOCK):
            rows = notices[start : start + BLOCK]
            found = candidates_of(evidence, rows, config.ranking.candidates, counted)
            asked = rows[:, None] * ts.companies + found.company_BM
            bidder_BM = np.isin(asked, bids) & (found.company_BM >= 0)
            parts.append((found.signal_BMS, found.company_BM >= 0, bidder_BM))
            done += len(rows)
            log.get("second stage").info("gathering signals", done=f"{done}/{whole}")
    if not parts:
        return np.zeros((0, 1, len(names_of(counted))), np.float32), *np.zeros((2, 0, 1), bool)
    width = max(part[1].shape[1] for part in parts)
    signals, present, bidder = (np.concatenate([_padded(part[at], width) for part in parts]) for at in range(3))
    return signals, present, bidder


def _stretches(ts: TrainingSet) -> list[tuple[Int64, int, Int64]]:
    """(notice rows, moment, keys of the known bids) of the window, a stretch at a time."""
    try:
        truth = Truth.of(ts, ts.validation_from, ts.cutoff, known_before=ts.cutoff)
    except InputMissing:
        return []
    stride = max(1, -(-len(truth.notices) // NOTICES))
    keys = np.sort(truth.notices[truth.query] * ts.companies + truth.company)
    return [(truth.notices[queries][::stride], moment, keys) for queries, moment in refreshes(truth, REFRESH_DAYS)]


def _padded(block: np.ndarray, width: int) -> np.ndarray:
    """Blocks of few companies are narrower than others."""
    missing = width - block.shape[1]
    return np.pad(block, [(0, 0), (0, missing), *[(0, 0)] * (block.ndim - 2)])
