"""The notices' vectors in two dimensions: what the towers hold to be alike lies together.

Reads   the towers' notice vectors, the notices' categories
Writes  `map` of details.json

The two directions are the first principal components, from the covariance of all vectors: exact, and the same for the
same vectors.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from bidrec.ranking.segments import UNKNOWN, Labels

POINTS = 1200
COLOURS = 7
"""Categories told apart, the largest; the others are one."""
OTHERS = "others or unknown"


def embedding_map(notice_ND: npt.NDArray[np.float32], label_N: Labels) -> dict[str, Any]:
    """`points`: [x, y, place in `categories`] of at most POINTS notices, evenly spread over time; `explained`: the
    share of the vectors' variance that x and y hold; of each category how many `notices` there are and their
    `cohesion`, the mean cosine with the category's mean direction, beside that of `all` notices."""
    centred_ND = notice_ND - notice_ND.mean(axis=0)
    variance_D, axes_DD = np.linalg.eigh(centred_ND.T @ centred_ND)
    axes_D2 = axes_DD[:, ::-1][:, :2]
    # A principal axis has no direction of its own: its largest part is made positive.
    axes_D2 = axes_D2 * np.sign(axes_D2[np.abs(axes_D2).argmax(axis=0), np.arange(axes_D2.shape[1])])
    drawn = np.unique(np.linspace(0, len(notice_ND) - 1, POINTS).astype(np.int64))
    xy_P2 = centred_ND[drawn] @ axes_D2
    xy_P2 = np.pad(xy_P2, ((0, 0), (0, 2 - xy_P2.shape[1])))  # vectors of one number lie on a line
    values, count = np.unique(label_N, return_counts=True)
    by_size = [str(value) for value in values[np.argsort(-count, kind="stable")]]
    kept = [name for name in by_size if name != UNKNOWN][:COLOURS]
    names = [*kept, OTHERS] if len(kept) < len(by_size) else kept
    label_N = np.where(np.isin(label_N, kept), label_N, OTHERS)
    return {
        "points": [
            [round(float(x), 4), round(float(y), 4), names.index(label)]
            for (x, y), label in zip(xy_P2, label_N[drawn], strict=True)
        ],
        "explained": float(variance_D[::-1][:2].sum() / max(float(variance_D.sum()), 1e-12)),
        "categories": [
            {
                "category": name,
                "notices": int((label_N == name).sum()),
                "cohesion": _cohesion(notice_ND[label_N == name]),
            }
            for name in names
        ],
        "all": _cohesion(notice_ND),
    }


def _cohesion(vector_ND: npt.NDArray[np.float32]) -> float:
    """The mean cosine of unit vectors with their mean direction, which is that mean's length."""
    return round(float(np.linalg.norm(vector_ND.mean(axis=0))), 4)
