import numpy as np
import pytest

from bidrec.ranking.baselines import BackOff
from bidrec.ranking.counts import KnownBids
from tests.ranking.sets import DAY, training_set

# Company 0 bid on both notices of place 1, company 1 on one of them, company 2 on the one of place 2.
SET = training_set([0, 0, 0, 0, 0, 0], [(0, 0, 1), (0, 1, 1), (1, 0, 1), (2, 2, 1)], companies=3)
BIDS = KnownBids.of(SET, 2 * DAY)
PLACE = np.array([1, 1, 2, 1, 3, 0])
POPULARITY = np.array([2.0, 1.0, 1.0])
EVER = 1e12
"""A half-life in which nothing decays."""


def scores(chain, notice, prior=1.0, half_life=EVER):
    return fitted(BIDS, chain, half_life, prior, POPULARITY).scores(np.array([notice]))[0]


def fitted(bids, chain, half_life, prior, popularity):
    weight_P = bids.weights(half_life)
    return BackOff(bids, chain, [bids.counted(codes, weight_P) for codes in chain], weight_P, prior, popularity)


def test_bids_under_the_same_key_are_mixed_with_popularity_as_one_more_notice():
    assert scores([PLACE], 3) == pytest.approx([(2 + 2 / 4) / (2 + 1), (1 + 1 / 4) / (2 + 1), (0 + 1 / 4) / (2 + 1)])


@pytest.mark.parametrize("notice", [4, 5])
def test_a_key_never_seen_and_an_unknown_key_leave_popularity(notice):
    assert scores([PLACE], notice) == pytest.approx([2 / 4, 1 / 4, 1 / 4])


def test_without_any_key_it_is_popularity():
    assert scores([], 3) == pytest.approx([2 / 4, 1 / 4, 1 / 4])


def test_a_finer_key_comes_before_a_coarser_one():
    everywhere = np.ones(6, np.int64)
    coarse = np.array([(2 + 2 / 4) / (3 + 1), (1 + 1 / 4) / (3 + 1), (1 + 1 / 4) / (3 + 1)])
    assert scores([PLACE, everywhere], 4) == pytest.approx(coarse)
    assert scores([PLACE, everywhere], 3) == pytest.approx((np.array([2, 1, 0]) + coarse) / (2 + 1))


def test_a_key_s_bids_and_its_notices_decay_alike():
    """All are a day old: half of the bids of half of the notices is the same share."""
    assert scores([PLACE], 3, prior=1e-9, half_life=1.0) == pytest.approx([2 / 2, 1 / 2, 0], abs=1e-6)


def test_the_fresher_of_two_notices_counts_for_more():
    ts = training_set([0, 0, 0], [(0, 0, 8), (1, 1, 9)], companies=2)
    made = fitted(KnownBids.of(ts, 10 * DAY), [np.ones(3, np.int64)], 1.0, 1.0, np.ones(2))
    total = 1 / 4 + 1 / 2
    assert made.scores(np.array([2]))[0] == pytest.approx(
        [(1 / 4 + 1 / 2) / (total + 1), (1 / 2 + 1 / 2) / (total + 1)], abs=1e-6
    )
