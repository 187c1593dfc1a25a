"""95 % intervals by resampling the notices; every ranker sees the same resamples, so differences are paired."""

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

RESAMPLES_AT_ONCE = 64
PERCENTILES = (2.5, 97.5)


def means(values_QM: Float64) -> Float64:
    """(M,) means of the columns without their NaN; NaN for a column that holds nothing else."""
    defined = ~np.isnan(values_QM)
    return _ratio(np.where(defined, values_QM, 0).sum(axis=0), defined.sum(axis=0))


def resampled_means(values_QM: Float64, resamples: int, seed: int) -> Float64:
    """(resamples, M) means over Q notices drawn with replacement, the same draws for every column.

    A NaN is a notice the metric says nothing about: it is drawn like the others and counts for nothing.
    """
    queries = len(values_QM)
    defined = ~np.isnan(values_QM)
    filled = np.where(defined, values_QM, 0.0)
    generator = np.random.default_rng(seed)
    blocks = []
    for start in range(0, resamples, RESAMPLES_AT_ONCE):
        rows = min(RESAMPLES_AT_ONCE, resamples - start)
        drawn = generator.integers(0, queries, (rows, queries)) + np.arange(rows)[:, None] * queries
        weight_RQ = np.bincount(drawn.ravel(), minlength=rows * queries).reshape(rows, queries).astype(np.float64)
        blocks.append(_ratio(weight_RQ @ filled, weight_RQ @ defined))
    return np.concatenate(blocks) if blocks else np.empty((0, values_QM.shape[1]))


def intervals(resampled_RM: Float64) -> list[list[float] | None]:
    """[2.5 %, 97.5 %] of each column; None where a column has no value, or nothing was resampled."""
    found: list[list[float] | None] = []
    for column in resampled_RM.T:
        column = column[~np.isnan(column)]
        found.append([float(edge) for edge in np.percentile(column, PERCENTILES)] if len(column) else None)
    return found


def _ratio(total: Float64, count: npt.NDArray) -> Float64:
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
