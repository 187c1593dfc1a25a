import numpy as np

from bidrec.ranking.baselines import Popularity
from bidrec.ranking.counts import KnownBids
from tests.ranking.sets import DAY, training_set


def test_one_fresh_bid_outweighs_two_that_have_halved_twice_whatever_the_notice():
    ts = training_set([0, 1, 2], [(0, 0, 10), (1, 0, 10), (2, 1, 30)], companies=3)
    scores = Popularity(KnownBids.of(ts, 30 * DAY + 1), half_life=10.0).scores(np.array([2, 0]))
    assert np.allclose(scores, [[2 / 4, 1, 0]] * 2, atol=1e-5)
    assert scores.dtype == np.float32
