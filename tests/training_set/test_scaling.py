import statistics

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidrec.errors import ContractError
from bidrec.training_set.encoders import CLIP, Scale, check_vectors, fit_scale

numbers = st.lists(st.none() | st.floats(-1e6, 1e6) | st.sampled_from([float("nan"), float("inf")]), max_size=20)


@given(numbers)
def test_present_values_are_standardised_and_missing_ones_are_zero_with_a_flag(column):
    fitted = fit_scale(pa.array(column, pa.float64()), is_vector=False)
    asked = [*column, 1e9, -1e9]  # of twenty values none lies five deviations off
    applied = fitted.apply(pa.array(asked, pa.float64()))
    present = [v for v in column if v is not None and np.isfinite(v)]
    mean = statistics.fmean(present) if present else 0
    std = statistics.pstdev(present) if present else 0
    assert fitted.missing_flag == (len(present) < len(column))
    assert fitted.columns("x") == ["x"] + ["x is missing"] * fitted.missing_flag
    for value, row in zip(asked, applied, strict=True):
        here = value is not None and np.isfinite(value)
        if fitted.missing_flag:
            assert row[1] == (not here)
        if not here:
            assert row[0] == 0
        elif std > 1e-6 * max(abs(mean), 1):
            assert row[0] == pytest.approx(np.clip((value - mean) / std, -CLIP, CLIP), abs=1e-3)


def test_a_constant_column_becomes_zero():
    column = pa.array([0.1] * 10)
    assert fit_scale(column, is_vector=False).apply(column).tolist() == [[0.0]] * 10


def test_a_value_that_is_missing_only_after_training_reads_as_the_mean():
    fitted = fit_scale(pa.array([1.0, 3.0]), is_vector=False)
    assert fitted.apply(pa.array([None, 4.0], pa.float64())).tolist() == [[0.0], [2.0]]


def test_vectors_become_one_column_an_element_and_a_flag_where_some_are_missing():
    fitted = fit_scale(pa.array([[0.0, 1.0], [2.0, 3.0], None]), is_vector=True)
    assert fitted.columns("v") == ["v[0]", "v[1]", "v is missing"]
    applied = fitted.apply(pa.array([[2.0, 1.0], [0.0, 3.0], None]))
    assert applied.tolist() == [[1, -1, 0], [-1, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize("none", [None, []])
def test_a_row_without_a_vector_is_no_error(none):
    check_vectors("v", pa.array([[1.0, 2.0], none], pa.list_(pa.float32())))
    check_vectors("v", pa.array([none], pa.list_(pa.float32())), width=2)


@pytest.mark.parametrize(
    ("column", "width", "said"),
    [
        ([[1.0, 2.0], [3.0, 4.0], [5.0]], None, "v: 1 of 3 vectors have not 2 numbers but, for instance, 1"),
        ([[1.0, 2.0], None], 3, "v: 1 of 1 vectors have not 3 numbers but, for instance, 2"),
        ([[1.0, float("nan")], [3.0, 4.0]], None, "v: 1 of 2 vectors hold NaN"),
        ([[1.0, float("-inf")], [3.0, float("inf")]], 2, "v: 2 of 2 vectors hold NaN"),
        ([[None, 2.0], None, [3.0, 4.0]], None, "v: 1 of 2 vectors hold NaN, an infinite or a missing number"),
    ],
)
def test_a_vector_of_another_length_or_with_a_broken_number_is_refused(column, width, said):
    with pytest.raises(ContractError) as caught:
        check_vectors("v", pa.array(column, pa.list_(pa.float32())), width)
    assert str(caught.value).startswith(said)
    assert caught.value.hint


def test_a_scale_comes_back_from_json():
    fitted = fit_scale(pa.array([1.0, None, 4.0]), is_vector=False)
    again = Scale.from_dict(fitted.as_dict())
    assert again.as_dict() == fitted.as_dict()
    assert np.array_equal(again.apply(pa.array([2.0])), fitted.apply(pa.array([2.0])))
