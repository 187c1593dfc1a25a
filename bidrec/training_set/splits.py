"""The split: three moments that cut the flow of time into training, validation and test.

Reads   [split] of the configuration, the times of features/
Writes  the bounds into runs/ID/training_set/manifest.json

    published ........ validation_from ........ cutoff ........ test_before
      training        |   validation      |     test      |   not used

Vocabularies, scalers and IDF see what was public before the cutoff, up to which the published weights are trained. A
window without a notice that drew a bid would only show itself hours later as an empty average: it is refused here. Of
the validation window only bids that are public before the cutoff count, since the choice of weights may see no other.
"""

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime

import numpy as np
import numpy.typing as npt

from bidrec.config import Split
from bidrec.errors import ConfigurationError, InputMissing

DAY = 86_400
_CAME_LATE = (
    "; rows that came late are known only since the ingest that brought them: bidrec ingest --force takes each as "
    "known when it says"
)


@dataclass(frozen=True)
class Bounds:
    """Moments in seconds since the epoch, UTC midnights; each window is half-open."""

    validation_from: int
    cutoff: int
    test_before: int

    def as_dict(self) -> dict[str, int]:
        return asdict(self)

    def windows(self) -> dict[str, tuple[int, int]]:
        return {
            "training": (-(2**62), self.validation_from),
            "validation": (self.validation_from, self.cutoff),
            "test": (self.cutoff, self.test_before),
        }


def bounds_of(split: Split, last_known_at: int) -> Bounds:
    """The configured moments; those left empty are counted back from `last_known_at`, the data's end in seconds."""
    if split.train_before:
        cutoff = _midnight(split.train_before)
    elif split.test_before:
        cutoff = _midnight(split.test_before) - split.test_days * DAY
    else:
        cutoff = last_known_at // DAY * DAY - split.test_days * DAY
    test_before = _midnight(split.test_before) if split.test_before else cutoff + split.test_days * DAY
    return Bounds(cutoff - split.validation_days * DAY, cutoff, test_before)


def check_windows(
    bounds: Bounds,
    published_at: npt.NDArray[np.int64],
    pair_notice: npt.NDArray[np.int32],
    pair_known_at: npt.NDArray[np.int64],
) -> dict[str, dict[str, int]]:
    """Count the notices and bids of each window.

    published_at: (N,) seconds; pair_notice: (M,) notice rows; pair_known_at: (M,) seconds. Raises InputMissing where
    there is nothing at all, ConfigurationError where a window holds no notice or no bid; it names the window, its days
    and the data's.
    """
    if not len(published_at) or not len(pair_notice):
        missing = "notice" if not len(published_at) else "bid"
        raise InputMissing(f"there is no {missing} to learn from", hint="check the source, and quarantine/ in the home")
    counts = {}
    published_of_pair = published_at[pair_notice]
    for name, (begin, end) in bounds.windows().items():
        notices = int(np.count_nonzero((published_at >= begin) & (published_at < end)))
        of_window = (published_of_pair >= begin) & (published_of_pair < end)
        if not of_window.any():
            raise _empty(name, begin, end, notices, published_of_pair)
        known_at = pair_known_at[of_window]
        if name == "validation" and known_at.min() >= end:
            raise _sealed(begin, end, notices, int(known_at.min()))
        bids = np.count_nonzero(known_at < end) if name == "validation" else len(known_at)
        counts[name] = {"notices": notices, "bids": int(bids)}
    return counts


def _empty(
    name: str, begin: int, end: int, notices: int, published_of_pair: npt.NDArray[np.int64]
) -> ConfigurationError:
    what = "no notice was published" if not notices else f"none of the {notices} notices drew a bid"
    since = f"from {day_of(begin)} " if begin > -(2**62) else ""
    first, last = int(published_of_pair.min()), int(published_of_pair.max())
    # The split is counted back from the newest bid's known_at.
    late = _CAME_LATE if last < begin else ""
    return ConfigurationError(
        f"{what} in the {name} window, {since}before {day_of(end)}",
        hint=f"notices with bids were published from {day_of(first)} to {day_of(last)}: "
        f"set split.train_before, split.test_before or split.validation_days{late}",
    )


def _sealed(begin: int, end: int, notices: int, first_known_at: int) -> ConfigurationError:
    return ConfigurationError(
        f"none of the {notices} notices in the validation window, from {day_of(begin)} before {day_of(end)}, has a bid "
        f"that is public before {day_of(end)}",
        hint=f"the first is public on {day_of(first_known_at)}: raise split.validation_days, until bids opened before "
        f"the cutoff are in it{_CAME_LATE}",
    )


def day_of(moment: int) -> str:
    """The UTC day of a moment, for people; any moment, also one that Python's calendar does not reach."""
    return str(np.datetime64(moment, "s").astype("datetime64[D]"))


def iso_of(moment: int) -> str:
    """The moment (epoch seconds) in ISO 8601, UTC, as the manifests have it."""
    return datetime.fromtimestamp(moment, UTC).isoformat()


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
