import torch
from hypothesis import given
from hypothesis import strategies as st

from bidrec.model.distinct import ascending, counts, distinct, grouped, places, repeats, runs

ANY = st.integers(0, 5) | st.integers(2**16 - 2, 2**16 + 2) | st.integers(0, 2**63 - 1)
"""Of one digit of the sort, around its end, and of up to four."""


@given(numbers=st.lists(ANY, max_size=32))
def test_numbers_are_told_apart_as_torch_does(numbers: list[int]) -> None:
    number_Q = torch.tensor(numbers, dtype=torch.int64)
    wanted = torch.unique(number_Q, return_inverse=True, return_counts=True)
    for ours, torchs in zip(distinct(number_Q), wanted, strict=True):
        assert torch.equal(ours, torchs)


@given(numbers=st.lists(ANY, max_size=32))
def test_numbers_that_are_the_same_have_the_place_and_the_count_of_distinct_ones(numbers: list[int]) -> None:
    number_Q = torch.tensor(numbers, dtype=torch.int64)
    _, wanted_Q, count_R = torch.unique(number_Q, return_inverse=True, return_counts=True)
    assert torch.equal(places(number_Q), wanted_Q)
    assert torch.equal(repeats(number_Q), count_R[wanted_Q])


@given(numbers=st.lists(st.integers(0, 5), max_size=32), below=st.integers(6, 9))
def test_numbers_are_counted(numbers: list[int], below: int) -> None:
    assert counts(torch.tensor(numbers, dtype=torch.int64), below).tolist() == [numbers.count(i) for i in range(below)]


@given(numbers=st.lists(ANY, max_size=32))
def test_numbers_in_order_stand_where_a_stable_sort_has_them(numbers: list[int]) -> None:
    order = ascending(torch.tensor(numbers, dtype=torch.int64))
    assert order.tolist() == sorted(range(len(numbers)), key=numbers.__getitem__)


@given(numbers=st.lists(ANY, max_size=32))
def test_each_distinct_numbers_places_lie_together(numbers: list[int]) -> None:
    number_R, order, begin = runs(torch.tensor(numbers, dtype=torch.int64))
    assert number_R.tolist() == sorted(set(numbers))
    assert begin[-1] == len(numbers)
    for at, number in enumerate(number_R.tolist()):
        places = order[begin[at] : begin[at + 1]].tolist()
        assert places == [place for place, given_ in enumerate(numbers) if given_ == number]


@given(numbers=st.lists(st.integers(0, 5), max_size=32), below=st.integers(6, 9))
def test_each_numbers_places_lie_together(numbers: list[int], below: int) -> None:
    order, begin = grouped(torch.tensor(numbers, dtype=torch.int64), below)
    for number in range(below):
        places = order[begin[number] : begin[number + 1]].tolist()
        assert places == [place for place, given_ in enumerate(numbers) if given_ == number]
