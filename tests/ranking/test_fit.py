import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.config import Evaluation
from bidrec.ranking.baselines import BUYER_PRIOR, PLACE_PRIOR, fit_baselines
from bidrec.ranking.counts import Fields
from bidrec.ranking.ground_truth import Truth, known_companies
from tests.ranking.sets import DAY, training_set
from tests.ranking.whole_window import evaluate

FIELDS = {"buyer_id": [1, 2, 1, 2, 1, 2], "place": [1, 1, 2, 2, 1, 2], "category": [1, 1, 1, 1, 2, 0]}
TITLES = [[0, 1], [2], [0], [3], [0, 1], [3]]
KNOWN = [(0, 0, 5), (0, 1, 5), (1, 2, 5), (2, 3, 5), (3, 1, 5)]
ASKED = np.array([4, 5])


def scores(bids, fields=FIELDS, titles=TITLES, companies=6):
    ts = training_set([0, 0, 1, 1, 9, 9], bids, fields, titles, companies)
    return {
        name: ranker.scores(ASKED) for name, ranker in fit_baselines(ts, Fields.of(ts), 8 * DAY, Evaluation()).items()
    }


@settings(max_examples=30)
@given(st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(8, 20)), max_size=8))
def test_a_bid_known_at_or_after_the_cutoff_changes_no_baseline(later):
    expected = scores(KNOWN)
    for name, found in scores([*KNOWN, *later]).items():
        np.testing.assert_array_equal(found, expected[name])


def test_each_baseline_has_the_half_life_and_the_prior_that_are_its_own():
    """Two bids ten and twenty days before the moment: popularity halves every 5 days, what is counted by key every 10;
    a notice that shares no key with one that is known is left with popularity."""
    fields = {"buyer_id": [1, 1, 1], "place": [1, 1, 1], "category": [1, 1, 1]}
    ts = training_set([0, 0, 30], [(0, 0, 10), (1, 1, 20)], fields, companies=2)
    settings = Evaluation(popularity_half_life=5.0, backoff_half_life=10.0)
    rankers = fit_baselines(ts, Fields.of(ts), 30 * DAY, settings)
    found = {name: rankers[name].scores(np.array([2]))[0] for name in ("popularity", "buyer", "place_category")}
    old, young = 1 / 16, 1 / 4
    assert found["popularity"] == pytest.approx([old, young])
    share = np.array([old, young]) / (old + young)
    counted = np.array([1 / 4, 1 / 2])
    assert found["buyer"] == pytest.approx((counted + BUYER_PRIOR * share) / (3 / 4 + BUYER_PRIOR), rel=1e-5)
    for _ in range(4):  # place and buyer, place, buyer, category: here all know the same
        share = (counted + PLACE_PRIOR * share) / (3 / 4 + PLACE_PRIOR)
    assert found["place_category"] == pytest.approx(share, rel=1e-5)


def test_a_place_comes_before_a_buyer_and_a_buyer_before_a_category():
    """Company 1 bid in the place, 2 with the buyer, 3 in the category, each as often."""
    fields = {"place": [1, 2, 3, 1], "buyer_id": [1, 2, 3, 2], "category": [1, 2, 3, 3]}
    ts = training_set([0, 0, 0, 9], [(0, 1, 5), (1, 2, 5), (2, 3, 5)], fields, companies=4)
    found = fit_baselines(ts, Fields.of(ts), 8 * DAY, Evaluation())["place_category"].scores(np.array([3]))[0]
    assert np.argsort(-found).tolist() == [1, 2, 3, 0]


def test_all_baselines_score_every_company_with_numbers():
    for found in scores(KNOWN).values():
        assert found.shape == (2, 6)
        assert found.dtype == np.float32
        assert np.isfinite(found).all()


def test_absent_and_empty_fields_leave_popularity():
    found = scores(KNOWN, fields={"place": [0] * 6, "method": [1] * 6}, titles=[[]] * 6)
    order = np.argsort(-found["popularity"], axis=1, kind="stable")
    for name in ("buyer", "place_category", "counts", "knn"):
        assert np.argsort(-found[name], axis=1, kind="stable").tolist() == order.tolist()


def test_one_company_is_a_market_too():
    ts = training_set([0, 0, 9, 9], [(0, 0, 5), (2, 0, 12)], {"buyer_id": [1, 1, 1, 2]})
    truth = Truth.of(ts, 8 * DAY, 10 * DAY)
    rankers = fit_baselines(ts, Fields.of(ts), 8 * DAY, Evaluation())
    result = evaluate(rankers, truth, known_companies(ts, 8 * DAY), Evaluation(), model="none")
    table = result["metrics"]["frozen"]
    assert {name: row["recall@10"] for name, row in table.items()} == dict.fromkeys(table, 1.0)
    assert result["window"]["without_bids"] == 1


def test_each_baseline_finds_what_it_is_made_for():
    """Company 4 is everywhere, 1 with the buyer, 2 in the place, 3 with the title."""
    fields = {"buyer_id": [1, 2, 3, 4, 1, 5], "place": [1, 2, 3, 4, 5, 2]}
    bids = [(0, 1, 5), (1, 2, 5), (2, 3, 5), (2, 4, 5), (3, 4, 5)]
    found = scores(bids, fields, [[0], [1], [2], [3], [2], [2]])
    first = {name: found[name].argmax(axis=1).tolist() for name in found}
    assert first["popularity"] == [4, 4]
    assert first["buyer"][0] == 1
    assert first["place_category"][1] == 2
    assert first["counts"] == [1, 2]
