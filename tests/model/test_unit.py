import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from bidrec.model.unit import LEAST, unit

WIDTH = 3
VECTORS = st.lists(
    st.lists(st.just(0.0) | st.floats(2**-10, 2**10, width=32), min_size=WIDTH, max_size=WIDTH), min_size=1, max_size=6
)


@given(rows=VECTORS, seed=st.integers(0, 99))
def test_vectors_and_gradients_are_those_of_torch(rows: list[list[float]], seed: int) -> None:
    asked_BD = torch.randn(len(rows), WIDTH, generator=torch.Generator().manual_seed(seed))
    found: list[tuple[Tensor, Tensor]] = []
    for normalised in (unit, functional.normalize):
        vector_BD = torch.tensor(rows, requires_grad=True)
        unit_BD = normalised(vector_BD)
        (unit_BD * asked_BD).sum().backward()
        # A short vector's gradient is as large as it is short, and so is what is rounded of it.
        length_B1 = vector_BD.detach().norm(dim=1, keepdim=True).clamp_min(LEAST)
        found.append((unit_BD.detach(), vector_BD.grad * length_B1))
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-4)


def test_the_zero_vector_stays_what_it_is() -> None:
    assert not unit(torch.zeros(2, WIDTH)).any()


def test_its_gradient_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    assert torch.autograd.gradcheck(unit, torch.randn(4, WIDTH, dtype=torch.float64, requires_grad=True))
