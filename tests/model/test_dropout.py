import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bidrec.model.dropout import Dropout


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9])
def test_so_many_values_are_dropped_anywhere_and_the_mean_stays(share: float) -> None:
    torch.manual_seed(1)
    x = torch.ones(400, 250)
    found = Dropout(share)(x)
    for dropped in ((found == 0).float().mean(0), (found == 0).float().mean(1)):
        assert (dropped - share).abs().max() < 5 * (share * (1 - share) / len(dropped)) ** 0.5
    kept = found[found != 0]
    assert kept.unique().tolist() == pytest.approx([1 / (1 - share)], rel=1e-3)
    assert found.mean().item() == pytest.approx(1.0, abs=5 * (share / (1 - share) / x.numel()) ** 0.5)
    beside = ((found[:, 1:] == 0) & (found[:, :-1] == 0)).float().mean().item()
    assert beside == pytest.approx(share**2, abs=0.005)  # of two neighbours one says nothing of the other


@given(st.lists(st.integers(0, 9), min_size=1, max_size=3), st.floats(0, 1, exclude_max=True))
def test_a_dropped_value_passes_no_gradient_and_a_kept_one_what_it_is_scaled_by(shape: list[int], share: float) -> None:
    x = torch.ones(shape, requires_grad=True)
    found = Dropout(share)(x)
    found.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, found.detach())
    assert found.isfinite().all()


def test_the_mask_is_of_the_seed_and_where_nothing_is_learned_there_is_none() -> None:
    x, dropout = torch.randn(50, 30), Dropout(0.4)
    torch.manual_seed(3)
    one = dropout(x)
    assert not torch.equal(one, dropout(x))
    torch.manual_seed(3)
    assert torch.equal(one, dropout(x))
    assert dropout.eval()(x) is x
    assert Dropout(0.0)(x) is x


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_gpu_drops_as_many() -> None:
    found = Dropout(0.3)(torch.ones(1_000, 100, device="cuda"))
    assert (found == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
