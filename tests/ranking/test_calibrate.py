import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.ranking.calibration import BINS, calibrate, heights, reliability

NOTICES, CANDIDATES = 1000, 20
_RANDOM = np.random.default_rng(0)
SCORES = (_RANDOM.normal(size=(NOTICES, CANDIDATES)) + _RANDOM.normal(size=(NOTICES, 1))).astype(np.float32)
"""The candidates of a notice have something in common."""


def everybody(score_QM):
    """(score, height) of each candidate."""
    height_QM = np.broadcast_to(heights(score_QM, np.ones(score_QM.shape, bool))[:, None], score_QM.shape)
    return score_QM.ravel(), height_QM.ravel()


def drawn(slope, offset, level, score_QM=SCORES):
    """Bids that happen with the probability the curve says."""
    score, height = everybody(score_QM)
    chance = 1 / (1 + np.exp(-(slope * (score - level * height) + offset)))
    return np.random.default_rng(1).random(len(score)) < chance


@settings(max_examples=10)
@given(st.floats(0.5, 1.5), st.floats(0, 2), st.floats(0, 1))  # where bids are many enough to tell the three
def test_the_curve_that_drew_the_bids_is_found_again(slope, offset, level):
    found = calibrate(*everybody(SCORES), drawn(slope, offset, level))
    assert found == pytest.approx((slope, offset, level), abs=0.35)
    assert 0 <= found[2] <= 1


@settings(max_examples=10)
@given(st.floats(0.5, 2), st.floats(-3, 1), st.floats(-0.5, 1.5), st.tuples(*[st.floats(-0.1, 0.1)] * 3))
def test_no_curve_near_the_found_one_makes_the_bids_likelier(slope, offset, level, more):
    bids = drawn(slope, offset, level)
    score, height = (column.astype(np.float64) for column in everybody(SCORES))
    target = np.where(bids, (bids.sum() + 1) / (bids.sum() + 2), 1 / ((~bids).sum() + 2))

    def loss(slope, offset, level):
        z = slope * (score - np.clip(level, 0, 1) * height) + offset
        return (np.logaddexp(0, z) - target * z).sum()

    found = calibrate(*everybody(SCORES), bids)
    assert loss(*found) <= loss(*np.add(found, more)) + 1e-3
    expected = (1 / (1 + np.exp(-(found[0] * (score - found[2] * height) + found[1])))).sum()
    assert expected == pytest.approx(target.sum(), rel=1e-3)


@pytest.mark.parametrize(("level", "found"), [(-0.5, 0.0), (1.5, 1.0)])
def test_a_notice_s_scores_never_lose_more_than_its_height_nor_gain_by_it(level, found):
    assert calibrate(*everybody(SCORES), drawn(1.0, -2.0, level))[2] == found


@pytest.mark.parametrize(("slope", "level"), [(1.0, 2.5), (-1.0, 0.5)])
def test_no_curve_turns_the_order_of_a_notice_s_candidates_round(slope, level):
    bids = drawn(slope, -2.0, level)
    found = calibrate(*everybody(SCORES), bids)
    assert found[0] >= 0
    if slope < 0:
        assert found == (0, pytest.approx(np.log(bids.mean() / (1 - bids.mean())), abs=1e-2), 0)


def test_when_the_scores_of_all_of_a_notice_s_candidates_rise_together_no_more_bids_are_expected():
    """As they do where much is known of every candidate, though no more of them bid."""
    random = np.random.default_rng(2)
    bids = drawn(1.0, 1.0, 1.0)
    slope, offset, level = calibrate(*everybody(SCORES), bids)
    score, height = everybody(SCORES + random.normal(2, 1, size=(NOTICES, 1)).astype(np.float32))
    expected = (1 / (1 + np.exp(-(slope * (score - level * height) + offset)))).sum()
    assert expected == pytest.approx(bids.sum(), rel=0.1)


def test_a_height_is_the_logarithm_of_the_sum_over_the_candidates_there_are():
    score = np.array([[1, 2, 9], [-800, -801, 0], [500, 499, 498], [7, 7, 7]], np.float32)
    present = np.array([[True, True, False], [True, True, False], [True] * 3, [False] * 3])
    found = heights(score, present)
    share = np.exp(np.where(present, score, -np.inf) - found[:, None])
    np.testing.assert_allclose(share.sum(axis=1), [1, 1, 1, 0], rtol=1e-3)
    assert found[3] == 0
    assert found.dtype == np.float32


@pytest.mark.parametrize("bids", [np.ones(4, bool), np.zeros(4, bool), np.array([False, False, True, True])])
def test_bids_that_can_be_told_without_an_error_still_give_a_finite_curve(bids):
    found = calibrate(np.array([-2, -1, 1, 2], np.float32), np.full(4, 2.4, np.float32), bids)
    assert np.isfinite(found).all()
    assert abs(found[0]) < 10


def test_without_a_candidate_there_is_nothing_to_fit():
    nothing = np.empty(0, np.float32)
    assert calibrate(nothing, nothing, nothing > 0) == (1.0, 0.0, 0.0)


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
