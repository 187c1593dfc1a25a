import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bidrec.ranking import topk
from bidrec.ranking.topk import best, top_k

FEW_VALUES = st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 1.0, 2.0])
"""Few values make many ties, at the end of the list as well."""


def by_full_sort(scores: np.ndarray, k: int) -> list[list[int]]:
    """Every row sorted in whole, by Python."""
    return [sorted(range(scores.shape[1]), key=lambda c, row=row: (-row[c], c))[:k] for row in scores]


@st.composite
def blocks(draw):
    shape = draw(st.tuples(st.integers(0, 5), st.integers(1, 12)))
    return draw(arrays.arrays(np.float32, shape, elements=FEW_VALUES))


@given(blocks(), st.integers(1, 15))
def test_the_list_is_that_of_a_full_sort_ties_included(scores, k):
    rows, values = best(scores, k)
    assert rows.tolist() == by_full_sort(scores, k)
    assert values.tolist() == np.take_along_axis(scores, rows, axis=1).tolist()


@given(
    arrays.arrays(np.float32, (5, 3), elements=st.integers(-2, 2)),
    arrays.arrays(np.float32, st.tuples(st.integers(1, 23), st.just(3)), elements=st.integers(-2, 2)),
    st.integers(1, 25),
    st.integers(0, 3),
)
def test_blocks_of_queries_and_items_change_nothing(queries, items, k, barred):
    """Every so manieth pair is not allowed, or none is barred."""
    allowed = np.arange(len(queries) * len(items)).reshape(len(queries), -1) % (barred + 1) == 0 if barred else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topk, "QUERIES", 2)
        patch.setattr(topk, "ITEMS", 4)
        rows, values = top_k(queries, items, k, allowed)
    scores = queries @ items.T
    if allowed is not None:
        scores[~allowed] = -np.inf
    assert rows.tolist() == by_full_sort(scores, k)
    assert values.tolist() == np.take_along_axis(scores, rows, axis=1).tolist()


@given(arrays.arrays(np.float32, st.tuples(st.integers(1, 2), st.integers(300, 400)), elements=FEW_VALUES))
def test_of_many_columns_too_the_list_is_that_of_a_full_sort(scores):
    assert best(scores, 3)[0].tolist() == by_full_sort(scores, 3)


def test_more_than_the_catalogue_holds_is_the_whole_catalogue():
    rows, values = top_k(np.ones((1, 1), np.float32), np.array([[1], [3], [2]], np.float32), 10)
    assert rows.tolist() == [[1, 2, 0]]
    assert values.tolist() == [[3, 2, 1]]


def test_an_empty_catalogue_and_no_query_give_empty_lists():
    assert top_k(np.ones((2, 4), np.float32), np.empty((0, 4), np.float32), 3)[0].shape == (2, 0)
    assert top_k(np.empty((0, 4), np.float32), np.ones((5, 4), np.float32), 3)[0].shape == (0, 3)


def test_equal_scores_across_the_end_of_the_list_go_to_the_lower_rows():
    rows, _ = best(np.array([[5, 7, 5, 5, 9]], np.float32), 3)
    assert rows.tolist() == [[4, 1, 0]]


@pytest.mark.parametrize("k", [1, 2, 5])
def test_a_nan_is_refused_wherever_it_stands(k):
    with pytest.raises(ValueError, match="NaN"):
        best(np.array([[1, 2, 3, np.nan, 5]], np.float32), k)


@pytest.mark.parametrize("at", [0, 9])
def test_a_nan_is_refused_in_whatever_block_it_stands(monkeypatch, at):
    monkeypatch.setattr(topk, "ITEMS", 4)
    items = np.ones((10, 1), np.float32)
    items[at] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        top_k(np.ones((1, 1), np.float32), items, 2)


def test_memory_grows_with_the_block_not_with_queries_times_items():
    queries, items = np.ones((1000, 2), np.float32), np.ones((50_000, 2), np.float32)
    tracemalloc.start()
    top_k(queries, items, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.6 * 4 * len(queries) * len(items)
