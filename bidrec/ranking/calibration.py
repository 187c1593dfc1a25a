"""What a score means: the probability that a candidate bids, and how well that holds on notices not learned from.

Platt's scaling (Platt 1999, "Probabilistic outputs for support vector machines"), a logistic curve fitted on the
validation window, with one number more. The blend learns to tell a notice's candidates apart: whatever all of them have
in common is nothing to its loss, and drifts. How much of that the scores shall lose is fitted together with the curve.
The order of a notice's candidates stays.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize
from scipy.special import expit, logsumexp

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

BINS = 10
"""Of equally many expected bids, so that the rare likely pairs are not lost among the many unlikely ones."""


def heights(score_QM: Float32, present_QM: Bool) -> Float32:
    """(Q,) the logarithm of the sum of the candidates' exp(score): score - height is the logarithm of a candidate's
    share in the softmax that the blend learns by. 0 for a notice without a candidate."""
    height_Q = logsumexp(np.where(present_QM, score_QM, -np.inf), axis=1)
    return np.asarray(np.where(np.isfinite(height_Q), height_Q, 0), np.float32)


def calibrate(score_P: Float32, height_P: Float32, bid_P: Bool) -> tuple[float, float, float]:
    """(slope, offset, level) that make the bids of the candidates (P,) likeliest: one bids with probability
    1 / (1 + exp(-(slope * (score - level * height) + offset))), with a slope of at least 0 and a level from 0 to 1.

    As in Platt's paper, bids and non-bids are taken as slightly less than certain, so that candidates that can be told
    apart without an error still give a finite curve. Without any candidate: a slope of 1.
    """
    if not len(score_P):
        return 1.0, 0.0, 0.0
    bids, others = int(bid_P.sum()), int(len(bid_P) - bid_P.sum())
    target_P = np.where(bid_P, (bids + 1) / (bids + 2), 1 / (others + 2))
    # slope * (score - level * height) with both parts of the slope at least 0 keeps the bounds and stays convex.
    x_PK = np.stack([score_P, score_P.astype(np.float64) - height_P, np.ones(len(score_P))], axis=1)

    def loss(curve: Float64) -> tuple[float, Float64]:
        z_P = x_PK @ curve
        value = (np.logaddexp(0, z_P) - target_P * z_P).mean()
        return float(value), x_PK.T @ (expit(z_P) - target_P) / len(z_P)

    start = np.array([0.0, 0.0, np.log((bids + 1) / (others + 1))])
    bounds = [(0, None), (0, None), (None, None)]
    found = optimize.minimize(
        loss, start, jac=True, method="SLSQP", bounds=bounds, options={"ftol": 1e-12, "maxiter": 500}
    )
    unshifted, shifted, offset = (round(float(number), 9) for number in found.x)  # a bound is met but for rounding
    slope = unshifted + shifted
    return slope, offset, shifted / slope if slope else 0.0


def reliability(probability_P: Float32, bid_P: Bool, query_P: Int64, bidders_Q: Int64) -> dict[str, Any]:
    """How well the probabilities of P candidates hold: `brier` beside that of the base rate, the expected number of
    bidders a notice beside that of the candidates who bid, and BINS bins. Bidders that were no candidates have no
    probability: only `bidders` and the absolute error count them (`bidders_Q`)."""
    predicted = probability_P.astype(np.float64)
    expected_Q = np.bincount(query_P, predicted, len(bidders_Q))
    order = np.argsort(predicted)
    edges = np.searchsorted(np.cumsum(predicted[order]), np.linspace(0, predicted.sum(), BINS + 1)[1:-1])
    bins = [part for part in np.split(order, edges) if len(part)]
    rate = bid_P.mean() if len(bid_P) else 0.0
    return {
        "pairs": len(predicted),
        "brier": float(((predicted - bid_P) ** 2).mean()) if len(predicted) else None,
        "brier_of_base_rate": float(rate * (1 - rate)),
        "expected_bidders": float(expected_Q.mean()),
        "bidders_among_candidates": float(bid_P.sum() / len(bidders_Q)),
        "bidders": float(bidders_Q.mean()),
        "bidders_mean_absolute_error": float(np.abs(expected_Q - bidders_Q).mean()),
        "bins": [
            {"pairs": len(part), "predicted": float(predicted[part].mean()), "observed": float(bid_P[part].mean())}
            for part in bins
        ],
    }
