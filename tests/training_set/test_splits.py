from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidrec.config import Split
from bidrec.errors import ConfigurationError, InputMissing
from bidrec.training_set.splits import DAY, Bounds, bounds_of, check_windows

MIDNIGHT = 1_704_067_200
"""2024-01-01T00:00:00Z."""


def test_days_are_midnights_in_utc():
    split = Split(train_before=date(2024, 1, 1), test_before=date(2024, 3, 1), validation_days=30)
    assert bounds_of(split, 0) == Bounds(MIDNIGHT - 30 * DAY, MIDNIGHT, MIDNIGHT + (31 + 29) * DAY)


def test_without_a_cutoff_the_test_window_ends_where_the_data_does():
    bounds = bounds_of(Split(test_days=60, validation_days=45), MIDNIGHT + 5_000)
    assert (bounds.test_before, bounds.cutoff, bounds.validation_from) == (
        MIDNIGHT,
        MIDNIGHT - 60 * DAY,
        MIDNIGHT - 105 * DAY,
    )


def test_one_given_day_fixes_the_other_by_the_length_of_the_window():
    assert bounds_of(Split(train_before=date(2024, 1, 1), test_days=7), 0).test_before == MIDNIGHT + 7 * DAY
    assert bounds_of(Split(test_before=date(2024, 1, 1), test_days=7), 0).cutoff == MIDNIGHT - 7 * DAY


BOUNDS = Bounds(validation_from=10 * DAY, cutoff=20 * DAY, test_before=30 * DAY)
published = st.lists(st.integers(0, 40 * DAY), min_size=1, max_size=30).map(sorted)


@given(published, st.data())
def test_each_window_is_half_open_and_counts_its_notices_and_bids(times, data):
    bids = data.draw(st.lists(st.integers(0, len(times) - 1), max_size=30))
    expected = {}
    for name, (begin, end) in BOUNDS.windows().items():
        inside = {i for i, t in enumerate(times) if begin <= t < end}
        expected[name] = {"notices": len(inside), "bids": sum(b in inside for b in bids)}
    if bids and all(e["bids"] for e in expected.values()):
        assert check_windows(BOUNDS, np.array(times), np.array(bids, np.int32)) == expected
    else:
        with pytest.raises((ConfigurationError, InputMissing)):
            check_windows(BOUNDS, np.array(times), np.array(bids, np.int32))


@pytest.mark.parametrize(("window", "at"), [("training", 5), ("validation", 15), ("test", 25)])
def test_an_empty_window_is_named_with_its_days(window, at):
    times = np.array([t * DAY for t in (5, 15, 25) if t != at])
    with pytest.raises(ConfigurationError, match=f"no notice was published in the {window} window") as caught:
        check_windows(BOUNDS, times, np.arange(2, dtype=np.int32))
    assert caught.value.hint is not None
    assert "split.train_before" in caught.value.hint


@pytest.mark.parametrize("cutoff", [date(1, 1, 1), date(9999, 12, 31)])
def test_a_cutoff_at_the_end_of_the_calendar_is_refused_like_any_other_outside_the_data(cutoff):
    with pytest.raises(ConfigurationError, match=r"in the (training|validation|test) window"):
        check_windows(bounds_of(Split(train_before=cutoff), 0), np.array([MIDNIGHT]), np.zeros(1, np.int32))
