import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.ranking.baselines import SCALE, Counts
from bidrec.ranking.counts import KnownBids
from tests.ranking.sets import DAY, training_set

NOTICES, COMPANIES, TODAY, HALF_LIFE = 5, 4, 10, 4.0
BIDS = st.dictionaries(st.tuples(st.integers(0, NOTICES - 1), st.integers(0, COMPANIES - 1)), st.integers(0, 9))
CODES = st.lists(st.integers(0, 3), min_size=NOTICES, max_size=NOTICES)
POPULARITY = np.array([4.0, 3.0, 2.0, 1.0])


def counts(bids, fields, popularity=POPULARITY):
    known = KnownBids.of(training_set([0] * NOTICES, bids, companies=COMPANIES), TODAY * DAY)
    fields = [np.array(codes) for codes in fields]
    return Counts(fields, [known.counted(codes, known.weights(HALF_LIFE)) for codes in fields], popularity)


@settings(max_examples=40)
@given(BIDS, st.lists(CODES, max_size=3))
def test_scores_are_the_sum_over_the_fields_of_the_logarithm_of_decayed_bids(bids, fields):
    expected = np.tile(1e-6 * POPULARITY / POPULARITY.sum(), (NOTICES, 1))
    for codes in fields:
        bids_on = np.zeros((NOTICES, COMPANIES))
        for (notice, company), day in bids.items():
            for asked in range(NOTICES):
                if codes[asked] == codes[notice] > 0:
                    bids_on[asked, company] += 0.5 ** ((TODAY - day) / HALF_LIFE)
        expected += np.log(1 + SCALE * bids_on)
    made = counts([(*pair, day) for pair, day in bids.items()], fields)
    np.testing.assert_allclose(made.scores(np.arange(NOTICES)), expected, rtol=1e-5, atol=1e-9)


def test_a_company_known_from_two_sides_comes_before_one_known_better_from_one():
    found = counts([(0, 0, 9), (1, 1, 9), (2, 1, 9)], [[1, 2, 2, 2, 1], [1, 2, 2, 0, 1]]).scores(np.array([3, 4]))
    assert found.argmax(axis=1).tolist() == [1, 0]


def test_without_any_field_or_bid_it_is_popularity():
    for made in (counts([(0, 3, 9)], []), counts([], [[1] * NOTICES]), counts([(0, 3, 9)], [[0] * NOTICES])):
        assert np.argsort(-made.scores(np.array([1]))[0]).tolist() == [0, 1, 2, 3]
    assert counts([], [], np.zeros(COMPANIES)).scores(np.array([1])).tolist() == [[0] * COMPANIES]
