import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidrec.ranking.baselines import Counts
from bidrec.ranking.counts import KnownBids, _kind, from_crowded, from_ends, from_places
from bidrec.ranking.neighbours import CoBidders, Neighbours, likely

ROWS, COLUMNS = 5, 7
places = st.lists(st.tuples(st.integers(0, ROWS - 1), st.integers(0, COLUMNS - 1), st.integers(-9, 9)), max_size=30)


@pytest.mark.parametrize("made", [from_places, from_crowded])
@given(places)
def test_values_at_one_place_are_summed_and_a_row_s_columns_ascend(made, given_values):
    dense = np.zeros((ROWS, COLUMNS), np.float32)
    for row, column, value in given_values:
        dense[row, column] += value
    row, column, value = np.array(given_values, np.int64).reshape(-1, 3).T
    found = made(value.astype(np.float64), row, column, (ROWS, COLUMNS))
    assert (found.toarray() == dense).all()
    of = np.repeat(np.arange(ROWS), np.diff(found.indptr))
    assert (np.diff(of * COLUMNS + found.indices) > 0).all()
    assert _kinds(found) == {np.dtype(np.int32)}


@given(places)
def test_rows_go_from_end_to_end(given_values):
    row, column, value = np.array(sorted(given_values), np.int64).reshape(-1, 3).T
    ends = np.searchsorted(row, np.arange(ROWS + 1))
    found = from_ends(value.astype(np.float32), column, ends, (ROWS, COLUMNS))
    assert (found.toarray() == from_places(value.astype(np.float32), row, column, (ROWS, COLUMNS)).toarray()).all()
    assert _kinds(found) == {np.dtype(np.int32)}


def test_billions_of_values_or_columns_are_counted_in_int64():
    assert _kind(2**31 - 1, (3, 3)) is np.int32
    assert _kind(2**31, (3, 3)) is np.int64
    assert _kind(3, (3, 2**31)) is np.int64


def test_what_the_rankers_multiply_is_narrow_throughout():
    """Of two kinds, each product would copy the numbers of the narrower matrix."""
    bids = KnownBids(np.arange(6) // 2, np.array([0, 1, 1, 2, 0, 2]), np.arange(6.0), companies=3)
    attributes = from_places(np.ones(4), np.arange(4), np.array([0, 1, 0, 1]), (4, 2))
    text = from_places(np.ones(4), np.arange(4), np.array([2, 0, 2, 1]), (4, 3))
    knn = Neighbours(bids, attributes, text, 2, 10.0)
    votes = knn.votes(np.array([3, 0]))
    cobidders = CoBidders(bids, 10.0)
    codes = np.array([1, 2, 1, 2])
    counts = Counts([codes], [bids.counted(codes, bids.weights(10.0))], bids.popularity(10.0))
    matrices = [knn._terms, knn._known_by_term, knn._votes, votes, likely(votes), counts._counted]
    matrices += [cobidders._meeting, cobidders._back]
    assert {kind for matrix in matrices for kind in _kinds(matrix)} == {np.dtype(np.int32)}


def _kinds(matrix):
    return {matrix.indices.dtype, matrix.indptr.dtype}
