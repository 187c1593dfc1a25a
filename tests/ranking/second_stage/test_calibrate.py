import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.ranking.second_stage.calibrate import calibrate, reliability

SCORES = np.random.default_rng(0).normal(size=20_000).astype(np.float32)


def drawn(slope, offset):
    """Bids that happen with the probability the curve says."""
    chance = 1 / (1 + np.exp(-(slope * SCORES + offset)))
    return np.random.default_rng(1).random(len(SCORES)) < chance


@settings(max_examples=10)
@given(st.floats(0.3, 2), st.floats(-4, 1))
def test_the_curve_that_drew_the_bids_is_found_again(slope, offset):
    found = calibrate(SCORES, drawn(slope, offset))
    assert found == pytest.approx((slope, offset), abs=0.25)


@settings(max_examples=10)
@given(st.floats(0.3, 2), st.floats(-4, 1), st.floats(-0.1, 0.1), st.floats(-0.1, 0.1))
def test_no_curve_near_the_found_one_makes_the_bids_likelier(slope, offset, more_slope, more_offset):
    bids = drawn(slope, offset)
    target = np.where(bids, (bids.sum() + 1) / (bids.sum() + 2), 1 / ((~bids).sum() + 2))

    def loss(curve):
        z = curve[0] * SCORES.astype(np.float64) + curve[1]
        return (np.logaddexp(0, z) - target * z).sum()

    found = calibrate(SCORES, bids)
    assert loss(found) <= loss((found[0] + more_slope, found[1] + more_offset)) + 1e-3


@pytest.mark.parametrize("bids", [np.ones(4, bool), np.zeros(4, bool), np.array([False, False, True, True])])
def test_bids_that_can_be_told_without_an_error_still_give_a_finite_curve(bids):
    slope, offset = calibrate(np.array([-2, -1, 1, 2], np.float32), bids)
    assert np.isfinite([slope, offset]).all()
    assert abs(slope) < 10


def test_without_a_candidate_there_is_nothing_to_fit():
    assert calibrate(np.empty(0, np.float32), np.empty(0, bool)) == (1.0, 0.0)


def test_reliability_holds_the_expected_bidders_of_each_notice_against_the_true_ones():
    probability = np.array([0.5, 0.25, 0.25, 1.0], np.float32)
    bid, query = np.array([True, False, False, True]), np.array([0, 0, 1, 1])
    found = reliability(probability, bid, query, np.array([1, 3]))
    assert found["brier"] == pytest.approx((0.25 + 0.0625 + 0.0625 + 0) / 4)
    assert found["brier_of_base_rate"] == pytest.approx(0.25)
    assert (found["expected_bidders"], found["bidders"]) == (1.0, 2.0)
    assert found["bidders_mean_absolute_error"] == pytest.approx((0.25 + 1.75) / 2)
    assert sum(part["pairs"] for part in found["bins"]) == 4
    assert sum(part["pairs"] * part["predicted"] for part in found["bins"]) == pytest.approx(2)
