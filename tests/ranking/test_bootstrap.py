import numpy as np
import pytest

from bidrec.ranking.metrics import intervals, means, resampled_means

NORMAL = np.random.default_rng(1).normal(size=(400, 1))


def test_the_interval_is_that_of_the_mean():
    """Of n independent values with deviation s it is mean ± 1.96 s / sqrt(n), nearly."""
    [interval] = intervals(resampled_means(NORMAL, 4000, seed=7))
    half = 1.96 * NORMAL.std() / np.sqrt(len(NORMAL))
    assert interval == pytest.approx([NORMAL.mean() - half, NORMAL.mean() + half], abs=0.01)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    first, again, other = (resampled_means(NORMAL, 100, seed) for seed in (7, 7, 8))
    assert (first == again).all()
    assert (first != other).any()


def test_columns_are_resampled_together_so_that_a_constant_lead_has_no_width():
    drawn = resampled_means(np.hstack([NORMAL, NORMAL - 0.5]), 200, seed=7)
    assert drawn[:, 0] - drawn[:, 1] == pytest.approx(np.full(200, 0.5))


def test_a_notice_without_a_value_counts_for_nothing():
    values = np.array([[1.0], [np.nan], [2.0]])
    assert means(values).tolist() == [3 / 2]
    drawn = resampled_means(values, 500, seed=7)
    assert np.nanmin(drawn) == 1
    assert np.nanmax(drawn) == 2


def test_a_metric_without_any_value_has_no_mean_and_no_interval():
    values = np.full((3, 1), np.nan)
    assert np.isnan(means(values)).all()
    assert intervals(resampled_means(values, 10, seed=7)) == [None]


def test_no_resamples_give_no_interval():
    assert intervals(resampled_means(NORMAL, 0, seed=7)) == [None]
