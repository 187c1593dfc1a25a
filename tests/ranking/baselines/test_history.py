import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidrec.ranking.baselines.history import KnownBids, NoticeFields, attribute_rows, cross, text_rows
from tests.ranking.sets import DAY, training_set

SET = training_set(
    [0, 1, 2],
    [(0, 0, 10), (1, 1, 20), (2, 1, 30)],
    fields={"buyer_id": [0, 0, 0], "unit": [1, 2, 1], "place": [0, 3, 1]},
    titles=[[0, 4], [], [2]],
)


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


def test_the_first_field_that_says_anything_is_taken():
    fields = NoticeFields(SET.notice)
    assert fields.codes("buyer_id", "unit").tolist() == [1, 2, 1]
    assert fields.codes("place", "unit").tolist() == [0, 3, 1]
    assert fields.codes("buyer_id", "region") is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12))
def test_crossed_codes_are_equal_where_both_parts_are_and_unknown_where_either_is(pairs):
    left, right = (np.array([pair[at] for pair in pairs], np.int64) for at in (0, 1))
    crossed = cross(left, right)
    for one, code in zip(pairs, crossed, strict=True):
        assert (code == 0) == (0 in one)
        assert all(
            (code == other_code) == (one == other) for other, other_code in zip(pairs, crossed, strict=True) if code
        )


def test_attributes_are_ones_and_unknown_ones_are_left_out():
    # Two ids of buyer_id's and unit's ranges come before place's: buyer_id has one id, unit three, place four.
    assert attribute_rows(SET.notice).toarray().tolist() == [
        [0, 0, 1, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0, 0, 1],
        [0, 0, 1, 0, 0, 1, 0, 0],
    ]


def test_text_keeps_its_weights():
    half = pytest.approx(np.sqrt(1 / 2))
    assert text_rows(SET.notice).toarray().tolist() == [[half, 0, 0, 0, half], [0] * 5, [0, 0, 1, 0, 0]]
