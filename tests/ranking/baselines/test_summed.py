import numpy as np
import pytest

from bidrec.config import Evaluation
from bidrec.ranking.baselines import fit_baselines, knn
from bidrec.ranking.baselines.fields import Fields
from bidrec.ranking.baselines.summed import COBIDDERS_WEIGHT, COUNTS_WEIGHT, LEAST
from tests.ranking.sets import DAY, training_set

FIELDS = {"unit": [1, 2, 4, 1, 3], "place": [1, 1, 3, 2, 2]}
TITLES = [[0], [1], [3], [0], [2]]
ASKED = np.array([3, 4])


@pytest.fixture(autouse=True)
def _everything_counts(monkeypatch):
    monkeypatch.setattr(knn, "COMMON", 1.0)


def fitted(bids, companies=5):
    ts = training_set([0, 0, 0, 9, 9], bids, FIELDS, TITLES, companies)
    return fit_baselines(ts, Fields.of(ts), 8 * DAY, Evaluation())


def test_a_co_bidder_of_the_likeliest_company_comes_before_a_stranger_however_popular():
    """Company 0 bid on the notice that is alike and met 1 elsewhere; 2 bid as often as 1, but with 3 only."""
    rankers = fitted([(0, 0, 5), (1, 0, 6), (1, 1, 6), (2, 2, 6), (2, 3, 6)])
    assert rankers["knn"].scores(ASKED)[0].argmax() == 0
    found = rankers["cobidders"].scores(ASKED)[0]
    assert found[1] > found[0] > found[2:].max() == 0


def test_the_sum_is_that_of_its_parts_and_the_same_in_any_blocks(monkeypatch):
    rankers = fitted([(0, 0, 5), (0, 1, 5), (1, 1, 6), (1, 2, 6)])
    votes = rankers["knn"].votes(ASKED).toarray()
    expected = COUNTS_WEIGHT * rankers["counts"].scores(ASKED) + np.log(votes + LEAST)
    expected += COBIDDERS_WEIGHT * np.log(rankers["cobidders"].scores(ASKED) + LEAST)
    whole = rankers["summed"].scores(ASKED)
    np.testing.assert_allclose(whole, expected, rtol=1e-5)
    monkeypatch.setattr("bidrec.ranking.baselines.summed.QUERIES", 1)
    np.testing.assert_allclose(rankers["summed"].scores(ASKED), whole, rtol=1e-6)
    np.testing.assert_allclose(rankers["cobidders"].scores(ASKED), fitted_cobidders(rankers), rtol=1e-6)


def fitted_cobidders(rankers):
    return np.concatenate([rankers["cobidders"].scores(row) for row in ASKED[:, None]])


def test_without_a_known_bid_every_company_is_alike():
    for name in ("cobidders", "summed"):
        assert len(np.unique(fitted([])[name].scores(ASKED))) == 1
