import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.ranking.second_stage.calibrate import BINS, calibrate, reliability

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
    bid, query = np.array([True, False, False, False]), np.array([0, 0, 1, 1])
    found = reliability(probability, bid, query, np.array([1, 3]))
    assert found["brier"] == pytest.approx((0.25 + 0.0625 + 0.0625 + 1) / 4)
    assert found["brier_of_base_rate"] == pytest.approx(1 / 4 * 3 / 4)
    assert (found["expected_bidders"], found["bidders"], found["bidders_among_candidates"]) == (1.0, 2.0, 0.5)
    assert found["bidders_mean_absolute_error"] == pytest.approx((0.25 + 1.75) / 2)


@given(st.lists(st.tuples(st.floats(2**-13, 1, width=32), st.booleans()), min_size=1, max_size=200))
def test_bins_are_of_neighbouring_probabilities_of_a_tenth_of_the_expected_bids_each_and_say_who_bid(pairs):
    probability, bid = np.array([pair[0] for pair in pairs], np.float32), np.array([pair[1] for pair in pairs])
    bins = reliability(probability, bid, np.zeros(len(pairs), np.int64), np.array([1]))["bins"]
    begin, ascending = 0, np.argsort(probability, kind="stable")
    for one in bins:
        part = np.sort(probability[ascending[begin : begin + one["pairs"]]].astype(np.float64))
        assert one["predicted"] == pytest.approx(part.mean())
        assert part[:-1].sum() <= probability.sum(dtype=np.float64) / BINS + part[-1] + 1e-9
        begin += one["pairs"]
    assert begin == len(pairs)
    assert len(bins) <= BINS
    assert sum(one["pairs"] * one["observed"] for one in bins) == pytest.approx(bid.sum())


def test_what_was_observed_is_of_each_bin_alone():
    """Ten pairs as likely as one of a half, half of whose expected bids they have: the rare ones never bid."""
    probability = np.array([0.05] * 10 + [0.5], np.float32)
    found = reliability(probability, probability > 0.1, np.zeros(11, np.int64), np.array([1]))["bins"]
    assert {part["observed"] for part in found if part["predicted"] < 0.1} == {0}
    assert found[-1] == {"pairs": 1, "predicted": 0.5, "observed": 1}


def test_without_a_pair_there_is_no_bin_and_no_score():
    nothing = np.empty(0, np.float32)
    found = reliability(nothing, nothing > 0, nothing.astype(np.int64), np.array([2, 4]))
    assert (found["brier"], found["bins"], found["pairs"]) == (None, [], 0)
    assert (found["expected_bidders"], found["bidders"]) == (0, 3)
