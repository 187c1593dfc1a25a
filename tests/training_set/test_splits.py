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


def checked(bounds, published_at, bids):
    """`bids`: (notice row, when it became public), seconds."""
    columns = (np.array([bid[at] for bid in bids], dtype) for at, dtype in ((0, np.int32), (1, np.int64)))
    return check_windows(bounds, np.array(published_at, np.int64), *columns)


@given(published, st.data())
def test_each_window_is_half_open_and_counts_its_notices_and_bids(times, data):
    lags = st.tuples(st.integers(0, len(times) - 1), st.integers(1, 10 * DAY))
    bids = [(notice, times[notice] + lag) for notice, lag in data.draw(st.lists(lags, max_size=30))]
    expected = {}
    for name, (begin, end) in BOUNDS.windows().items():
        inside = {i for i, t in enumerate(times) if begin <= t < end}
        late = [known_at >= end and name == "validation" for _, known_at in bids]
        counted = [notice in inside and not is_late for (notice, _), is_late in zip(bids, late, strict=True)]
        expected[name] = {"notices": len(inside), "bids": sum(counted)}
    if bids and all(e["bids"] for e in expected.values()):
        assert checked(BOUNDS, times, bids) == expected
    else:
        with pytest.raises((ConfigurationError, InputMissing)):
            checked(BOUNDS, times, bids)


@pytest.mark.parametrize(("window", "at"), [("training", 5), ("validation", 15), ("test", 25)])
def test_an_empty_window_is_named_with_its_days(window, at):
    times = [t * DAY for t in (5, 15, 25) if t != at]
    with pytest.raises(ConfigurationError, match=f"no notice was published in the {window} window") as caught:
        checked(BOUNDS, times, [(row, known_at + 1) for row, known_at in enumerate(times)])
    assert caught.value.hint is not None
    assert "split.train_before" in caught.value.hint


@pytest.mark.parametrize(("lag", "first"), [(3, "1970-01-22"), (2, "1970-01-21")])
def test_a_validation_window_whose_bids_all_open_at_or_after_the_cutoff_is_refused_with_the_first_opening(lag, first):
    times = [5 * DAY, 18 * DAY, 19 * DAY, 25 * DAY]
    with pytest.raises(ConfigurationError, match=r"none of the 2 notices .* public before 1970-01-21") as caught:
        checked(BOUNDS, times, [(row, known_at + lag * DAY) for row, known_at in enumerate(times)])
    assert str(caught.value.hint).startswith(f"the first is public on {first}: raise split.validation_days")


@pytest.mark.parametrize("cutoff", [date(1900, 1, 1), date(2199, 12, 31)])
def test_a_cutoff_at_the_end_of_the_calendar_is_refused_like_any_other_outside_the_data(cutoff):
    with pytest.raises(ConfigurationError, match=r"in the (training|validation|test) window"):
        checked(bounds_of(Split(train_before=cutoff), 0), [MIDNIGHT], [(0, MIDNIGHT + 1)])
