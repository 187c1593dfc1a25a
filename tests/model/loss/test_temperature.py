import math

import pytest
import torch

from bidrec.model.loss.temperature import bounded_scale


@pytest.mark.parametrize(("temperature", "kept"), [(0.001, 0.01), (0.07, 0.07), (1.0, 1.0), (30.0, 1.0)])
def test_the_temperature_stays_within_its_bounds(temperature: float, kept: float) -> None:
    scale = bounded_scale(torch.tensor(-math.log(temperature)), coldest=0.01, hottest=1.0)
    assert 1 / scale.item() == pytest.approx(kept, rel=1e-5)


def test_within_the_bounds_the_gradient_is_that_of_the_exponential() -> None:
    log_scale = torch.tensor(2.0, requires_grad=True)
    bounded_scale(log_scale, coldest=0.01, hottest=1.0).backward()
    assert log_scale.grad.item() == pytest.approx(math.exp(2))


@pytest.mark.parametrize("start", [0.009, 1.1])
def test_a_temperature_that_overshot_a_bound_comes_back(start: float) -> None:
    log_scale = torch.tensor(-math.log(start), requires_grad=True)
    optimiser = torch.optim.Adam([log_scale], lr=0.02)
    before = bounded_scale(log_scale, coldest=0.01, hottest=1.0).item()
    for _ in range(20):
        optimiser.zero_grad()
        (bounded_scale(log_scale, coldest=0.01, hottest=1.0) - 10).square().backward()
        optimiser.step()
    assert abs(bounded_scale(log_scale, coldest=0.01, hottest=1.0).item() - 10) < abs(before - 10)


def test_no_gradient_leads_further_out() -> None:
    log_scale = torch.tensor(math.log(1 / 0.001), requires_grad=True)
    (-bounded_scale(log_scale, coldest=0.01, hottest=1.0)).backward()
    assert log_scale.grad.item() == 0
