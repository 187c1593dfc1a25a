import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bidrec.model.towers import network
from bidrec.training.filling import fill_up, filled_up, size_for

some_sizes = pytest.mark.parametrize("sizes", [8, 32])


@some_sizes
@given(rows=st.integers(0, 1 << 20))
def test_a_size_holds_the_rows_and_at_most_one_more_for_each_so_many(sizes: int, rows: int) -> None:
    assert rows <= size_for(rows, sizes) <= rows + max(0, rows - 1) / sizes + 1
    assert size_for(size_for(rows, sizes), sizes) == size_for(rows, sizes)


@some_sizes
def test_a_million_numbers_of_rows_need_few_hundred_sizes(sizes: int) -> None:
    doublings = 20 - sizes.bit_length() + 1
    assert len({size_for(rows, sizes) for rows in range(1, 1 << 20)}) == sizes * doublings + sizes


def test_filling_up_adds_rows_of_zeros() -> None:
    rows = torch.rand(17, 3)
    filled = filled_up(rows, 8)
    assert filled.shape == (18, 3)
    assert torch.equal(filled[:17], rows)
    assert not filled[17:].any()


def test_layers_that_are_filled_up_give_the_same_vectors_and_gradients() -> None:
    torch.testing.assert_close(*(vectors_and_gradients(filled) for filled in (False, True)))


def vectors_and_gradients(filled: bool) -> list[Tensor]:
    torch.manual_seed(1)
    layers, seen = network(6, (16,), 4, dropout=0.0), []
    if filled:
        fill_up(layers, layers.forward, 8)
    for rows in (17, 5, 33, 1, 0):
        layers.zero_grad(set_to_none=True)
        out = layers(torch.rand(rows, 6, generator=torch.Generator().manual_seed(rows)))
        out.square().sum().backward()
        seen += [out.detach(), *(parameter.grad for parameter in layers.parameters() if parameter.grad is not None)]
    return seen


def test_without_gradients_nothing_is_filled_up() -> None:
    layers, seen = network(6, (16,), 4, dropout=0.0), []
    fill_up(layers, lambda rows: seen.append(rows) or rows, 8)
    with torch.no_grad():
        layers(torch.rand(17, 6))
    assert not seen
    layers(torch.rand(17, 6))
    assert [len(rows) for rows in seen] == [18]
