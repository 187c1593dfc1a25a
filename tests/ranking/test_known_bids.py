import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bidrec.ranking.counts import KnownBids
from tests.ranking.sets import DAY, training_set

SET = training_set([0, 1, 2], [(0, 0, 10), (1, 1, 20), (2, 1, 30)])


def test_a_bid_opened_at_the_cutoff_is_not_known_yet():
    bids = KnownBids.of(SET, 20 * DAY)
    assert bids.notice.tolist() == [0]
    assert bids.company.tolist() == [0]
    assert bids.companies == 2


def test_a_bid_halves_every_half_life():
    bids = KnownBids.of(SET, 40 * DAY)
    assert bids.weights(10.0).tolist() == [1 / 8, 1 / 4, 1 / 2]
    assert bids.popularity(10.0).tolist() == [1 / 8, 1 / 4 + 1 / 2]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2), st.integers(0, 9)), max_size=12), st.integers(1, 8))
def test_the_newest_notices_with_a_known_bid_keep_all_their_bids_and_the_others_none(bids, notices):
    known = KnownBids.of(training_set([0] * 7, bids, companies=3), 8 * DAY)
    newest = sorted({notice for notice, _, day in bids if day < 8})[-notices:]
    kept = known.newest(notices)
    expected = [bid for bid in sorted(bids) if bid[0] in newest and bid[2] < 8]
    found = zip(kept.notice.tolist(), kept.company.tolist(), (8 - kept.age_days).tolist(), strict=True)
    assert list(found) == expected
    assert kept.companies == 3


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2), st.integers(0, 9)), max_size=12),
    st.lists(st.lists(st.integers(0, 3), min_size=7, max_size=7), max_size=3),
)
def test_bids_are_counted_as_a_plain_loop_does_and_those_on_an_unknown_code_nowhere(bids, fields):
    known = KnownBids.of(training_set([0] * 7, bids, companies=3), 8 * DAY)
    weight_P = known.weights(2.0)
    expected = [np.zeros((max(codes) + 1, 3)) for codes in fields]
    for codes, counted in zip(fields, expected, strict=True):
        for notice, company, weight in zip(known.notice, known.company, weight_P, strict=True):
            counted[codes[notice], company] += weight if codes[notice] else 0
    for codes, counted in zip(fields, expected, strict=True):
        found = known.counted(np.array(codes), weight_P)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found.toarray(), counted, rtol=1e-6)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2), st.integers(0, 9)), max_size=12))
def test_the_notices_of_the_bids_are_those_that_numpy_finds(bids):
    known = KnownBids.of(training_set([0] * 7, bids, companies=3), 8 * DAY)
    expected = np.unique(known.notice, return_inverse=True, return_counts=True)
    for found, wanted in zip(known.notices(), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
