import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidrec.config import Evaluation
from bidrec.ranking import neighbours
from bidrec.ranking.baselines import COBIDDERS_WEIGHT, COUNTS_WEIGHT, LEAST, fit_baselines
from bidrec.ranking.counts import Fields
from bidrec.ranking.evaluate import rank_and_read
from tests.ranking.sets import DAY, training_set

FIELDS = {"unit": [1, 2, 4, 1, 3], "place": [1, 1, 3, 2, 2]}
TITLES = [[0], [1], [3], [0], [2]]
ASKED = np.array([3, 4])


@pytest.fixture(autouse=True, scope="module")
def _everything_counts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "COMMON", 1.0)
        yield


def fitted(bids, companies=5):
    ts = training_set([0, 0, 0, 9, 9], bids, FIELDS, TITLES, companies)
    return fit_baselines(ts, Fields.of(ts), 8 * DAY, Evaluation())


def test_a_co_bidder_of_the_likeliest_company_comes_before_a_stranger_however_popular():
    """Company 0 bid on the notice that is alike and met 1 elsewhere; 2 bid as often as 1, but with 3 only."""
    rankers = fitted([(0, 0, 5), (1, 0, 6), (1, 1, 6), (2, 2, 6), (2, 3, 6)])
    assert rankers["knn"].scores(ASKED)[0].argmax() == 0
    found = rankers["cobidders"].scores(ASKED)[0]
    assert found[1] > found[0] > found[2:].max() == 0


def test_the_sum_is_that_of_its_parts_and_the_same_in_any_blocks():
    rankers = fitted([(0, 0, 5), (0, 1, 5), (1, 1, 6), (1, 2, 6)])
    # What a company without a vote has is a billionth of its popularity, nothing beside LEAST.
    votes = rankers["knn"].scores(ASKED)
    expected = COUNTS_WEIGHT * rankers["counts"].scores(ASKED) + np.log(votes + LEAST)
    expected += COBIDDERS_WEIGHT * np.log(rankers["cobidders"].scores(ASKED) + LEAST)
    whole = rankers["summed"].scores(ASKED)
    np.testing.assert_allclose(whole, expected, rtol=1e-5)
    for name in ("knn", "cobidders", "summed"):
        alone = np.concatenate([rankers[name].scores(row) for row in ASKED[:, None]])
        np.testing.assert_allclose(alone, rankers[name].scores(ASKED), rtol=1e-6)


def test_a_company_without_a_vote_stands_by_how_often_it_bid_far_below_those_with_one():
    scores = fitted([(0, 0, 5), (1, 1, 6), (2, 1, 6), (2, 2, 6)])["knn"].scores(ASKED)[0]
    assert scores[0] > 1e-2 > 1e-8 > scores[1] > scores[2] > scores[3] == 0


@given(st.sets(st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(5, 7))))
def test_asked_together_they_list_what_each_of_them_lists_alone_and_votes_are_counted_once_a_block(bids):
    rankers, counted = fitted(bids), []
    together = [rankers[name] for name in ("knn", "cobidders", "summed")]
    asked = ASKED, np.ones(5, bool), 3, np.arange(5)
    alone = [rank_and_read([ranker], *asked)[0] for ranker in together]

    def votes(self, notice_rows, counting=neighbours.Neighbours.votes):
        counted.append(notice_rows.tolist())
        return counting(self, notice_rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours.Neighbours, "votes", votes)
        found = rank_and_read(together, *asked)
    assert counted == [ASKED.tolist()]
    for one, other in zip(found, alone, strict=True):
        np.testing.assert_array_equal(one.listed_QK, other.listed_QK)
        np.testing.assert_array_equal(one.read_QA, other.read_QA)


def test_without_a_known_bid_every_company_is_alike():
    for name in ("cobidders", "summed"):
        assert len(np.unique(fitted([])[name].scores(ASKED))) == 1
