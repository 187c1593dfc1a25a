"""When notices appear: working days and hours, busy and slow months, in blocks that bound the memory.

Read by simulate.py (blocks) and notices.py (clock times). All times are seconds of the Seoul clock since 1970.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

DAY = 86_400
BLOCK_NOTICES = 40_000
"""Notices of a block at most: what is held in memory at once."""

_MONTHS = (0.75, 0.85, 1.25, 1.3, 1.2, 1.15, 1.0, 0.95, 1.0, 1.05, 0.95, 0.55)
_WEEKDAYS = (1.0, 1.1, 1.1, 1.1, 0.9, 0.03, 0.02)
_OFFICE = (9.0, 18.0)


@dataclass(frozen=True, kw_only=True)
class Block:
    """Notices of some consecutive days of one month."""

    number: int
    month: str
    """yyyymm"""
    first: int
    last: int
    """Days since 1970, both inclusive."""
    per_day: NDArray[np.int64]
    """Notices on each of these days."""

    @property
    def notices(self) -> int:
        return int(self.per_day.sum())


def seconds(clock: datetime) -> int:
    """A naive datetime of the Seoul clock as seconds since 1970 on that clock."""
    return int((clock.replace(tzinfo=None) - datetime(1970, 1, 1)).total_seconds())


def blocks(notices: int, days: int, end: int, rng: Generator) -> list[Block]:
    """Spread `notices` exactly over the `days` that end with the day of `end`, in blocks of at most BLOCK_NOTICES
    (one day is never cut)."""
    dates = np.arange(end // DAY - days + 1, end // DAY + 1)
    weight = day_weights(dates) * rng.lognormal(0, 0.15, days)
    counts = rng.multinomial(notices, weight / weight.sum())
    months = dates.astype("datetime64[D]").astype("datetime64[M]")
    made: list[Block] = []
    start, held = 0, 0
    for day in range(days):
        if day > start and (months[day] != months[start] or held + counts[day] > BLOCK_NOTICES):
            made.append(_block(len(made), dates, counts, start, day))
            start, held = day, 0
        held += int(counts[day])
    made.append(_block(len(made), dates, counts, start, days))
    return made


def day_weights(dates: NDArray) -> NDArray[np.float64]:
    """How busy days (since 1970) are beside each other."""
    month = dates.astype("datetime64[D]").astype("datetime64[M]").astype(int) % 12
    return np.array(_MONTHS)[month] * np.array(_WEEKDAYS)[weekday(dates)]


def weekday(dates: NDArray) -> NDArray[np.int64]:
    """0 = Monday. 1970-01-01 was a Thursday."""
    return (dates + 3) % 7


def office_hours(dates: NDArray, rng: Generator) -> NDArray[np.int64]:
    """A clock time on each of the days: mostly late morning and afternoon."""
    low, high = _OFFICE
    hour = low + (high - low) * rng.beta(1.6, 1.3, len(dates))
    return dates * DAY + (hour * 3600).astype(np.int64)


def working_day(dates: NDArray) -> NDArray[np.int64]:
    """The day itself, or the Monday after a weekend."""
    return dates + np.where(weekday(dates) == 5, 2, np.where(weekday(dates) == 6, 1, 0))


def _block(number: int, dates: NDArray, counts: NDArray, start: int, stop: int) -> Block:
    month = str(dates[start].astype("datetime64[D]").astype("datetime64[M]")).replace("-", "")
    return Block(
        number=number, month=month, first=int(dates[start]), last=int(dates[stop - 1]), per_day=counts[start:stop]
    )
