import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bidrec.model import distinct as module
from bidrec.model.distinct import ascending, counts, distinct, grouped, places, repeats, runs

LARGE = 2**63 // 2 // 64


@pytest.fixture(params=[0, 16], scope="module")
def few(request: pytest.FixtureRequest) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FEW", request.param)
        yield


@given(numbers=st.lists(st.integers(0, 5) | st.integers(LARGE - 3, LARGE - 1), max_size=32))
def test_numbers_are_told_apart_as_torch_does(few: None, numbers: list[int]) -> None:
    number_Q = torch.tensor(numbers, dtype=torch.int64)
    wanted = torch.unique(number_Q, return_inverse=True, return_counts=True)
    for ours, torchs in zip(distinct(number_Q), wanted, strict=True):
        assert torch.equal(ours, torchs)


@given(numbers=st.lists(st.integers(0, 5) | st.integers(LARGE - 3, LARGE - 1), max_size=32))
def test_numbers_that_are_the_same_have_the_place_and_the_count_of_distinct_ones(few: None, numbers: list[int]) -> None:
    number_Q = torch.tensor(numbers, dtype=torch.int64)
    _, wanted_Q, count_R = torch.unique(number_Q, return_inverse=True, return_counts=True)
    assert torch.equal(places(number_Q), wanted_Q)
    assert torch.equal(repeats(number_Q), count_R[wanted_Q])


@given(numbers=st.lists(st.integers(0, 5), max_size=32), below=st.integers(6, 9))
def test_numbers_are_counted(numbers: list[int], below: int) -> None:
    assert counts(torch.tensor(numbers, dtype=torch.int64), below).tolist() == [numbers.count(i) for i in range(below)]


@given(numbers=st.lists(st.integers(0, 5) | st.integers(LARGE - 3, LARGE - 1), max_size=32))
def test_numbers_in_order_stand_where_a_stable_sort_has_them(few: None, numbers: list[int]) -> None:
    order = ascending(torch.tensor(numbers, dtype=torch.int64))
    assert order.tolist() == sorted(range(len(numbers)), key=numbers.__getitem__)


@given(numbers=st.lists(st.integers(0, 5) | st.integers(LARGE - 3, LARGE - 1), max_size=32))
def test_each_distinct_numbers_places_lie_together(few: None, numbers: list[int]) -> None:
    number_R, order, begin = runs(torch.tensor(numbers, dtype=torch.int64))
    assert number_R.tolist() == sorted(set(numbers))
    assert begin[-1] == len(numbers)
    for at, number in enumerate(number_R.tolist()):
        places = order[begin[at] : begin[at + 1]].tolist()
        assert places == [place for place, given_ in enumerate(numbers) if given_ == number]


@given(numbers=st.lists(st.integers(0, 5), max_size=32), below=st.integers(6, 9))
def test_each_numbers_places_lie_together(few: None, numbers: list[int], below: int) -> None:
    order, begin = grouped(torch.tensor(numbers, dtype=torch.int64), below)
    for number in range(below):
        places = order[begin[number] : begin[number + 1]].tolist()
        assert places == [place for place, given_ in enumerate(numbers) if given_ == number]
