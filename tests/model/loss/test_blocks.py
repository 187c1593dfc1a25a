import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize
from torch.utils._python_dispatch import TorchDispatchMode

from bidrec.model.loss.blocks import log_sum_exp
from bidrec.model.loss.softmax import all_bidders_softmax
from tests.model.loss.circle import COMPANIES, NOTICES, SCALE

BIDS = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 2])


def with_gradients(block: int, *constants: torch.Tensor) -> list[torch.Tensor]:
    *learned, notice_of_P, company_of_P, log_weight_K = constants
    learned = [value.clone().requires_grad_() for value in learned]
    loss = all_bidders_softmax(*learned, notice_of_P, company_of_P, log_weight_K, block)
    return [loss, *torch.autograd.grad(loss, learned)]


@pytest.mark.parametrize("block", [1, 2, 3, 9])
def test_blocks_of_any_size_give_the_loss_and_the_gradients_of_all_at_once(block: int) -> None:
    inputs = NOTICES, COMPANIES, SCALE, *BIDS, torch.tensor([0.0, 0.0, 1.1])
    torch.testing.assert_close(with_gradients(block, *inputs), with_gradients(0, *inputs))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(1, 40), st.integers(1, 45), st.integers(0, 12), st.integers(0, 2**31))
def test_blocks_are_the_dense_softmax_at_every_temperature(
    notices: int, companies: int, block: int, bids: int, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    inputs = (
        normalize(torch.randn(notices, 4, generator=random, dtype=torch.float64)),
        normalize(torch.randn(companies, 4, generator=random, dtype=torch.float64)),
        torch.rand((), generator=random, dtype=torch.float64) * 99 + 1,
        torch.randint(notices, (bids,), generator=random),
        torch.randint(companies, (bids,), generator=random),
        torch.rand(companies, generator=random, dtype=torch.float64) * 5,
    )
    torch.testing.assert_close(with_gradients(block, *inputs), with_gradients(0, *inputs))


def test_the_gradient_is_that_of_finite_differences() -> None:
    random = torch.Generator().manual_seed(3)
    notice_BD, company_KD = (
        torch.randn(rows, 3, generator=random, dtype=torch.float64, requires_grad=True) for rows in (2, 5)
    )
    scale = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)
    weight_K = torch.zeros(5, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda *x: log_sum_exp(*x, weight_K, 2), (notice_BD, company_KD, scale))


class Largest(TorchDispatchMode):
    """Watches every tensor that an operation makes."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        made = func(*args, **kwargs or {})
        for value in made if isinstance(made, tuple | list) else [made]:
            if isinstance(value, torch.Tensor):
                self.numbers = max(self.numbers, value.numel())
        return made


def test_no_more_than_a_block_of_scores_exists_forward_or_backward() -> None:
    notice_BD, company_KD = torch.ones(50, 2, requires_grad=True), torch.ones(10_000, 2, requires_grad=True)
    bids = torch.tensor([0]), torch.tensor([1])
    with Largest() as dense:
        all_bidders_softmax(notice_BD, company_KD, SCALE, *bids, torch.zeros(10_000)).backward()
    with Largest() as blocked:
        all_bidders_softmax(notice_BD, company_KD, SCALE, *bids, torch.zeros(10_000), block=100).backward()
    assert dense.numbers == 50 * 10_000
    assert blocked.numbers == company_KD.numel() == 20_000  # the vectors themselves; a block of scores has 5,000
