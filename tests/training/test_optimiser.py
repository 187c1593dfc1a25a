import pytest

from bidrec.training.optimiser import rate_share


def test_the_learning_rate_rises_then_falls_to_zero() -> None:
    shares = [rate_share(step, 100, 0.1) for step in range(100)]
    assert shares[0] == pytest.approx(0.1)
    assert max(shares) == 1.0
    assert shares[-1] == pytest.approx(1 / 90)
