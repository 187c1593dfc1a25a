"""What a score means: the probability that a candidate bids, and how well that holds on notices not learned from.

Platt's scaling (Platt 1999, "Probabilistic outputs for support vector machines"): a logistic curve of two numbers,
fitted on the validation window. It keeps the order of the candidates.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

STEPS = 50
BINS = 10
"""Of equally many expected bids, so that the rare likely pairs are not lost among the many unlikely ones."""


def calibrate(score_P: Float32, bid_P: Bool) -> tuple[float, float]:
    """(slope, offset) of the curve that makes the bids of the candidates (P,) likeliest, by Newton's method.

    As in Platt's paper, bids and non-bids are taken as slightly less than certain, so that candidates that can be told
    apart without an error still give a finite curve. Without any candidate: a slope of 1.
    """
    if not len(score_P):
        return 1.0, 0.0
    bids, others = int(bid_P.sum()), int(len(bid_P) - bid_P.sum())
    target_P = np.where(bid_P, (bids + 1) / (bids + 2), 1 / (others + 2))
    x_P2 = np.stack([score_P.astype(np.float64), np.ones(len(score_P))], axis=1)
    curve = np.array([0.0, np.log((bids + 1) / (others + 1))])
    loss = _loss(curve, x_P2, target_P)
    for _ in range(STEPS):
        share_P = 1 / (1 + np.exp(-x_P2 @ curve))
        gradient = x_P2.T @ (share_P - target_P)
        curvature = (x_P2 * (share_P * (1 - share_P))[:, None]).T @ x_P2 + 1e-9 * np.eye(2)
        step, size = np.linalg.solve(curvature, gradient), 1.0
        while size > 1e-6 and (better := _loss(curve - size * step, x_P2, target_P)) > loss:
            size /= 2
        if size <= 1e-6 or loss - better < 1e-9 * abs(loss):
            break
        curve, loss = curve - size * step, better
    return float(curve[0]), float(curve[1])


def _loss(curve: Float64, x_P2: Float64, target_P: Float64) -> float:
    z_P = x_P2 @ curve
    return float((np.logaddexp(0, z_P) - target_P * z_P).sum())


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
