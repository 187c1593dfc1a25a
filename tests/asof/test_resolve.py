import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.asof import resolve
from bidrec.asof.resolve import NEVER, newest_known, row_of
from bidrec.errors import ContractError

companies = st.integers(0, 4)
moments = st.integers(-5, 12) | st.sampled_from([-(2**40), 2**40])
keys = st.lists(st.tuples(companies, moments), max_size=30)


def columns(rows):
    table = np.array(rows, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def brute_force(versions, company, as_of):
    rows = [row for row, (c, known_at) in enumerate(versions) if c == company and known_at <= as_of]
    return max(rows, default=-1)


@settings(deadline=None)
@given(keys, keys)
def test_the_newest_version_known_by_then_is_found_as_brute_force_finds_it(versions, questions):
    versions = sorted(versions)
    found = newest_known(columns(versions), *columns(questions))
    assert found.dtype == np.int32
    assert found.tolist() == [brute_force(versions, company, as_of) for company, as_of in questions]


@given(keys, keys, st.integers(1, 4))
def test_the_questions_may_be_answered_in_blocks_of_any_size(versions, questions, block):
    versions = columns(sorted(versions))
    whole = newest_known(versions, *columns(questions))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resolve, "BLOCK", block)
        assert newest_known(versions, *columns(questions)).tolist() == whole.tolist()


def test_a_version_known_at_the_very_moment_counts_and_one_later_does_not():
    versions = columns([(0, 10), (0, 20)])
    found = newest_known(versions, np.zeros(4, int), np.array([9, 10, 19, 20]))
    assert found.tolist() == [-1, 0, 0, 1]


def test_of_versions_known_at_the_same_moment_the_last_row_wins():
    assert newest_known(columns([(3, 5), (3, 5), (4, 5)]), np.array([3]), np.array([5])).tolist() == [1]


def test_a_company_without_versions_is_unknown_although_its_neighbours_are_known():
    assert newest_known(columns([(0, 5), (2, 5)]), np.array([1, 3]), np.array([9, 9])).tolist() == [-1, -1]


def test_empty_tables_answer_nothing_and_unknown():
    nothing = columns([])
    assert newest_known(nothing, *nothing).shape == (0,)
    assert newest_known(nothing, np.array([1]), np.array([1])).tolist() == [-1]


def test_times_too_far_apart_are_refused_rather_than_wrapped():
    with pytest.raises(ContractError, match="too far apart"):
        newest_known(columns([(0, -(2**61)), (9, 2**61)]), np.array([0]), np.array([0]))


def test_a_version_that_the_feature_tables_do_not_have_is_refused():
    versions = (np.array([0, 0, 2]), np.array([10, 20, 10]))
    assert row_of(versions, np.array([0, 2, 1]), np.array([20, 10, NEVER])).tolist() == [1, 2, -1]
    for company, known_at in ((0, 15), (0, 5), (1, 10)):
        with pytest.raises(ContractError, match=f"company row {company}"):
            row_of(versions, np.array([company]), np.array([known_at]))
