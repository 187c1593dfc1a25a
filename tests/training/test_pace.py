from collections.abc import Iterator
from itertools import chain
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidrec.training.pace import MOST, STRETCH_SECONDS, Pace


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture(scope="module", autouse=True)
def clock() -> Iterator[Clock]:
    clock = Clock()
    with patch("bidrec.training.pace.time", clock):
        yield clock


def taken(clock: Clock, pace: Pace, steps: list[float]) -> None:
    """Steps of so many seconds each, then the end of an epoch and a validation that takes an hour."""
    pace.start()
    for seconds in steps:
        clock.now += seconds
        pace.step()
    pace.close()
    clock.now += 3600


@given(st.lists(st.lists(st.floats(0.01, 30), max_size=60), max_size=6), st.lists(st.floats(0.01, 30), max_size=60))
def test_no_step_and_no_second_of_either_training_is_lost_and_the_stretches_stay_few(
    clock: Clock, epochs: list[list[float]], anew: list[float]
) -> None:
    stretches: list[dict[str, float]] = []
    for epoch in epochs:  # as after a stop: what goes on knows the stretches alone
        taken(clock, Pace(stretches, refit=False), epoch)
    taken(clock, Pace(stretches, refit=True), anew)
    for refit, steps in ((0, [*chain(*epochs)]), (1, anew)):
        own = [one for one in stretches if one["refit"] == refit]
        assert sum(one["steps"] for one in own) == len(steps)
        assert sum(one["seconds"] for one in own) == pytest.approx(sum(steps))
        assert all(one["steps"] > 0 for one in own)
        assert len(own) <= MOST + 1
    assert [one["refit"] for one in stretches] == sorted(one["refit"] for one in stretches)


def test_a_slow_while_shows_as_a_slow_stretch(clock: Clock) -> None:
    stretches: list[dict[str, float]] = []
    taken(clock, Pace(stretches, refit=False), [0.1] * 40 + [0.5] * 8 + [0.1] * 40)
    rates = [round(one["steps"] / one["seconds"], 2) for one in stretches]
    assert rates[:3] == rates[-3:] == [10, 10, 10]
    assert min(rates) == 2
    assert all(one["seconds"] >= STRETCH_SECONDS / 2 for one in stretches)
