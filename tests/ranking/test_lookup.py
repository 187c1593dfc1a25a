import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from bidrec.ranking import neighbours
from bidrec.ranking.counts import from_places
from bidrec.ranking.neighbours import entries, largest, looked_up, places_of_largest

ROWS, COMPANIES = 5, 4
PAIRS = st.lists(
    st.tuples(st.integers(0, ROWS - 1), st.integers(0, COMPANIES - 1), st.floats(0.125, 8, width=16)), max_size=30
)


def columns(pairs):
    row, company, weight = ([pair[at] for pair in pairs] for at in range(3))
    return np.array(row, np.int64), np.array(company, np.int64), np.array(weight, np.float64)


@given(PAIRS, st.lists(st.lists(st.integers(-1, COMPANIES - 1), min_size=3, max_size=3), min_size=ROWS, max_size=ROWS))
def test_a_matrix_is_read_as_it_is_and_no_company_has_nothing(pairs, asked):
    row, company, weight = columns(pairs)
    matrix = sparse.csr_array((weight.astype(np.float32), (row, company)), shape=(ROWS, COMPANIES))
    dense, asked = matrix.toarray(), np.array(asked)
    expected = np.where(asked >= 0, np.take_along_axis(dense, np.maximum(asked, 0), axis=1), 0)
    np.testing.assert_array_equal(entries(matrix, asked), expected)
    np.testing.assert_array_equal(looked_up(matrix, np.arange(ROWS), asked), expected)


def test_no_company_of_one_row_is_not_the_last_company_of_the_row_before():
    matrix = from_places(np.array([7.0]), np.array([1]), np.array([COMPANIES - 1]), (ROWS, COMPANIES))
    assert looked_up(matrix, np.array([2, 1]), np.array([[-1, 0], [-1, 0]])).tolist() == [[0, 0], [0, 0]]


@given(PAIRS, st.integers(1, COMPANIES + 1))
def test_the_largest_entries_are_those_of_a_full_sort_and_of_equal_ones_the_last(pairs, k):
    row, company, weight = columns(pairs)
    matrix = sparse.csr_array((weight, (row, company)), shape=(ROWS, COMPANIES))
    for columns_of_row, values in zip(largest(matrix, k), matrix.toarray(), strict=True):
        chosen = columns_of_row[columns_of_row >= 0]
        in_order = sorted(np.flatnonzero(values), key=lambda column: (values[column], column))
        assert sorted(chosen) == sorted(in_order[-k:])


@given(
    st.permutations(range(40)),
    st.lists(st.sampled_from([0.25, 0.5, 1.0]), min_size=40, max_size=40),
    st.integers(1, 41),
    st.sampled_from([2, neighbours.SOME]),
)
def test_where_the_largest_stand_does_not_depend_on_the_order_of_the_columns_nor_on_who_is_looked_at_first(
    order, values, k, some
):
    column, value = np.array(order), np.array(values, np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "SOME", some)
        places = places_of_largest(value, column, k)
    assert places.tolist() == sorted(places)
    in_order = sorted(range(40), key=lambda place: (value[place], column[place]))
    assert set(places) == set(in_order[-k:])


@pytest.mark.parametrize("some", [2, neighbours.SOME])
def test_a_value_that_is_nan_is_not_passed_over(monkeypatch, some):
    monkeypatch.setattr(neighbours, "SOME", some)
    value = np.array([1, np.nan, 2, 3, 1, 0, 2, 2, 1], np.float32)
    assert places_of_largest(value, np.arange(9), 2).tolist() == [1, 3]


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_an_empty_matrix_has_no_largest_entries(shape):
    found = largest(sparse.csr_array(shape, dtype=np.float32), 2)
    assert found.tolist() == [[-1, -1]] * shape[0]
