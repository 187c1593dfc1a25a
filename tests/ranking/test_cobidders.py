import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from bidrec.ranking import neighbours
from bidrec.ranking.counts import KnownBids
from bidrec.ranking.neighbours import CoBidders, likely
from tests.ranking.sets import DAY, training_set

NOTICES, COMPANIES, TODAY, HALF_LIFE = 5, 5, 10, 4.0
BIDS = st.dictionaries(st.tuples(st.integers(0, NOTICES - 1), st.integers(0, COMPANIES - 1)), st.integers(0, 9))


def met(bids, share):
    ts = training_set([0] * NOTICES, bids, companies=COMPANIES)
    made = CoBidders(KnownBids.of(ts, TODAY * DAY), HALF_LIFE)
    return np.stack(list(made.spread(sparse.csr_array(np.array(share, np.float32)))))


def dense(bids, share, crowd=neighbours.CROWD):
    """The walk over full matrices: at both ends of a meeting a bid counts, less in a crowd and of a busy company."""
    weight = np.zeros((NOTICES, COMPANIES))
    for (notice, company), day in bids.items():
        weight[notice, company] = 0.5 ** ((TODAY - day) / HALF_LIFE)
    bidders = (weight > 0).sum(axis=1, keepdims=True)
    half_way = np.sqrt(weight / np.maximum(bidders, 1)) / (1 + np.sqrt(weight.sum(axis=0)))
    half_way[bidders[:, 0] > crowd] = 0
    meeting = half_way.T @ half_way
    np.fill_diagonal(meeting, 0)
    return np.array(share) @ meeting


@settings(max_examples=40)
@given(
    BIDS,
    st.lists(st.lists(st.floats(0, 1, width=16), min_size=COMPANIES, max_size=COMPANIES), min_size=1, max_size=3),
)
def test_companies_are_met_as_a_walk_over_dense_matrices_says(bids, share):
    found = met([(*pair, day) for pair, day in bids.items()], share)
    np.testing.assert_allclose(found, dense(bids, share), rtol=1e-4, atol=1e-6)


@settings(max_examples=40)
@given(
    BIDS,
    st.lists(st.lists(st.sampled_from([0, 0.25, 1]), min_size=COMPANIES, max_size=COMPANIES), min_size=1, max_size=3),
    st.lists(st.integers(-1, COMPANIES - 1), max_size=4),
)
def test_of_some_companies_asked_about_the_walk_says_the_same_and_of_nobody_nothing(bids, share, asked):
    ts = training_set([0] * NOTICES, [(*pair, day) for pair, day in bids.items()], companies=COMPANIES)
    made = CoBidders(KnownBids.of(ts, TODAY * DAY), HALF_LIFE)
    company_BM = np.tile(np.array(asked, np.int64), (len(share), 1))
    found = made.met(sparse.csr_array(np.array(share, np.float32)), company_BM)
    expected = np.where(company_BM >= 0, dense(bids, share)[:, asked], 0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_a_crowd_is_no_meeting(monkeypatch):
    monkeypatch.setattr(neighbours, "CROWD", 2)
    bids = {(0, 0): 9, (0, 1): 9, (1, 0): 9, (1, 2): 9, (1, 3): 9}
    share = [[1, 0, 0, 0, 0]]
    found = met([(*pair, day) for pair, day in bids.items()], share)
    np.testing.assert_allclose(found, dense(bids, share, crowd=2), rtol=1e-4, atol=1e-6)
    assert (found[0] > 1e-6).tolist() == [False, True, False, False, False]


def test_a_company_that_meets_everybody_is_met_less_often_than_one_that_meets_few():
    busy = [(notice, 1, 9) for notice in range(4)]
    found = met([(0, 0, 9), (0, 2, 9), *busy], [[1, 0, 0, 0, 0]])
    assert found[0, 2] > found[0, 1] > 0


@settings(max_examples=40)
@given(st.lists(st.lists(st.integers(0, 4), min_size=4, max_size=4), min_size=1, max_size=4))
def test_the_likely_companies_are_those_of_the_most_votes_as_shares_of_one(votes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "LIKELY", 2)
        found = likely(sparse.csr_array(np.array(votes, np.float32))).toarray()
    for share, row in zip(found, votes, strict=True):
        best = sorted(row)[-2:]
        np.testing.assert_allclose(sorted(share)[-2:], np.array(best) / max(1, sum(best)), rtol=1e-6)
        assert np.count_nonzero(share) <= 2
        assert not share[np.array(row) == 0].any()
