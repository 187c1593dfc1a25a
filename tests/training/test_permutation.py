import numpy as np
import numpy.typing as npt
import torch
from hypothesis import given
from hypothesis import strategies as st

from bidrec.training.permutation import Permutation, draw_keys


def order(size: int, seed: int) -> npt.NDArray[np.int32]:
    return Permutation(size, draw_keys(torch.Generator().manual_seed(seed))[0]).part(0, size)


@given(st.integers(1, 5_000), st.integers(0, 10**6), st.data())
def test_each_number_stands_at_one_place_and_a_part_is_what_stands_there(
    size: int, seed: int, data: st.DataObject
) -> None:
    whole = order(size, seed)
    assert sorted(whole.tolist()) == list(range(size))
    begin = data.draw(st.integers(0, size))
    end = data.draw(st.integers(begin, size))
    part = Permutation(size, draw_keys(torch.Generator().manual_seed(seed))[0]).part(begin, end)
    assert part.tolist() == whole[begin:end].tolist()


def test_orders_by_other_keys_are_others() -> None:
    assert order(1_000, 1).tolist() == order(1_000, 1).tolist()
    assert (order(1_000, 1) == order(1_000, 2)).sum() < 10
    one, other = (Permutation(1_000, keys).part(0, 1_000) for keys in draw_keys(torch.Generator(), 2))
    assert (one == other).sum() < 10


def test_over_many_keys_each_number_stands_at_each_place_and_beside_each_other_number_equally_often() -> None:
    """Chi-square over 4,000 orders of seven, and over neighbours in them; 99.9 % of drawn orders lie below."""
    orders = np.stack([order(7, seed) for seed in range(4_000)])
    places = np.stack([np.bincount(column, minlength=7) for column in orders.T])
    expected = 4_000 / 7
    assert ((places - expected) ** 2 / expected).sum() < 67.98  # 36 degrees of freedom
    beside = np.bincount((orders[:, :-1] * 7 + orders[:, 1:]).ravel(), minlength=49)
    beside, expected = beside[beside > 0], 4_000 * 6 / 42
    assert len(beside) == 42
    assert ((beside - expected) ** 2 / expected).sum() < 74.74  # 41 degrees of freedom


def test_an_order_of_tens_of_millions_is_as_mixed_at_its_start_as_a_drawn_one() -> None:
    size, many = 20_000_000, 100_000
    part = Permutation(size, draw_keys(torch.Generator().manual_seed(1))[0]).part(0, many)
    assert len(np.unique(part)) == many
    parts = {"hundredths": part * 100.0 / size, "steps": np.diff(part) % size * 100.0 / size, "rests": part % 100}
    for name, values in parts.items():
        found = np.bincount(values.astype(np.int64), minlength=100)
        assert ((found - many / 100) ** 2 / (many / 100)).sum() < 148.2, name  # 99 degrees of freedom, 99.9 %
