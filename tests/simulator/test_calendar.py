"""Blocks bound the memory: they hold every notice once, and none holds too many."""

from datetime import datetime
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.simulator import market
from bidrec.simulator.market import BLOCK_NOTICES, blocks, seconds

END = seconds(datetime(2025, 6, 30, 18))


@settings(max_examples=30, deadline=None)
@given(notices=st.integers(1, 3_000_000), days=st.integers(1, 1500), seed=st.integers(0, 9))
def test_blocks_share_out_all_notices_over_all_days_within_months(notices: int, days: int, seed: int) -> None:
    made = blocks(notices, days, END, np.random.default_rng(seed))
    assert sum(block.notices for block in made) == notices
    assert sum(len(block.per_day) for block in made) == days
    assert made[-1].last == END // market.DAY
    for before, after in pairwise(made):
        assert after.first == before.last + 1
    for block in made:
        first, last = (np.datetime64(day, "D").astype("datetime64[M]") for day in (block.first, block.last))
        assert str(first) == str(last) == f"{block.month[:4]}-{block.month[4:]}"


@settings(max_examples=30, deadline=None)
@given(notices=st.integers(1, 10_000_000), days=st.integers(1, 1500))
def test_no_block_is_larger_than_the_bound_unless_it_is_one_day(notices: int, days: int) -> None:
    for block in blocks(notices, days, END, np.random.default_rng(0)):
        assert block.notices <= BLOCK_NOTICES or len(block.per_day) == 1


def test_two_million_notices_in_three_years_keep_to_the_bound() -> None:
    made = blocks(2_000_000, 1096, END, np.random.default_rng(0))
    assert max(block.notices for block in made) <= BLOCK_NOTICES


def test_weekdays_are_those_of_the_calendar() -> None:
    dates = np.arange(19_000, 19_020)
    assert market.weekday(dates).tolist() == [
        date.weekday() for date in dates.astype("datetime64[D]").astype(datetime).tolist()
    ]
    assert (market.weekday(market.working_day(dates)) < 5).all()
