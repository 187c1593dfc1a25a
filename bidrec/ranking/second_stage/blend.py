"""The blend: one weight a signal, learned on the validation window; small enough to be read.

Writes  runs/ID/second_stage/blend.json

The score of a candidate is the weighted sum of its signals, each less its mean and divided by its deviation; the
weights minimise a softmax over a notice's candidates with every bidder as a target (as the towers' loss), plus a pull
towards PRIOR, which is all there is where the window holds nothing to learn from. What makes the scores of different
notices comparable, and probabilities of them, is learned after that (calibrate.py).
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize
from scipy.special import logsumexp

from bidrec.errors import ContractError
from bidrec.ranking.second_stage.calibrate import calibrate, heights
from bidrec.ranking.second_stage.signals import FIXED, NEWCOMERS
from bidrec.storage.intact import is_whole
from bidrec.storage.sealed import read_json, write_json, write_manifest
from bidrec.storage.whole import whole_folder

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
