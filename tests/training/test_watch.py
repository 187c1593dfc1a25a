import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bidrec.training.watch import LOOK_EVERY, NotFinite, Watch, finite

CPU = torch.device("cpu")


def with_gradients(*gradients: torch.Tensor) -> list[nn.Parameter]:
    parameters = [nn.Parameter(torch.zeros(gradient.shape)) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    return [*parameters, nn.Parameter(torch.zeros(2))]  # one that nothing was learned about


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=1, max_size=LOOK_EVERY))
def test_a_look_finds_the_first_loss_that_is_not_finite(losses: list[float]) -> None:
    watch = Watch(CPU, clip_norm=0)
    for loss in losses:
        watch.loss(torch.tensor(loss))
    wrong = [place for place, loss in enumerate(losses) if loss - loss != 0]
    found = watch.look()
    assert (found and found.steps_ago) == (len(losses) - wrong[0] if wrong else None)
    assert watch.look() is None


def test_a_look_is_due_before_there_is_no_place_left() -> None:
    watch = Watch(CPU, clip_norm=0)
    for step in range(3 * LOOK_EVERY):
        watch.loss(torch.tensor(float(step)))
        if watch.due:
            assert watch.look() is None
    watch.loss(torch.tensor(float("inf")))
    assert watch.look() == NotFinite(1, "the loss is inf")


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("spoilt", [float("nan"), float("inf"), float("-inf"), None])
def test_one_weight_that_is_not_finite_is_found_among_many(precision: torch.dtype, spoilt: float | None) -> None:
    table, none = torch.randn(300, 7).to(precision), torch.zeros(0, 7)  # a process may hold no row of a sharded table
    if spoilt is not None:
        table[211, 3] = spoilt
    assert finite([none, torch.tensor(2.0), nn.Parameter(table)]) == (spoilt is None)
    assert finite([torch.tensor([float("inf"), float("-inf")])]) is False


def test_the_norm_is_that_of_all_gradients_in_one() -> None:
    parameters = with_gradients(torch.tensor([1.0, 2.0]), torch.tensor([[0.0, 0.0], [2.0, 0.0]]))
    watch = Watch(CPU, clip_norm=0)
    watch.gradients(parameters, step=0)
    assert watch.norm.item() == pytest.approx((1 + 4 + 4) ** 0.5)
    parameters[0].grad = torch.tensor([0.0, 0.0])
    watch.gradients(parameters, step=1)
    assert watch.norm.item() == pytest.approx(3)  # measured again at the LOOK_EVERY-th step alone
    watch.gradients(parameters, step=LOOK_EVERY)
    assert watch.norm.item() == pytest.approx(2)
    assert watch.largest_norm.item() == pytest.approx(3)


@pytest.mark.parametrize(("longest", "left"), [(1.0, 1.0), (10.0, 5.0)])
def test_gradients_longer_than_the_bound_are_scaled_down_to_it(longest: float, left: float) -> None:
    parameters = with_gradients(torch.tensor([3.0]), torch.tensor([4.0]))
    Watch(CPU, clip_norm=longest).gradients(parameters, step=1)
    gradients = torch.cat([parameter.grad for parameter in parameters[:2]])
    assert gradients.norm().item() == pytest.approx(left)
    assert (gradients[0] / gradients[1]).item() == pytest.approx(3 / 4)


@pytest.mark.parametrize(("step", "first", "measured"), [(0, False, True), (7, False, False), (7, True, True)])
def test_gradients_are_measured_in_their_turn_and_at_the_first_step_of_an_epoch(
    step: int, first: bool, measured: bool
) -> None:
    watch = Watch(torch.device("cpu"), clip_norm=0)
    watch.gradients(with_gradients(torch.tensor([3.0, 4.0])), step, first)
    assert watch.norm.item() == watch.largest_norm.item() == (5.0 if measured else 0.0)
