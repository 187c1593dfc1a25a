"""Progress is a line of the log: an event with done="3/10" says how far something is (in per cent with unit="%").

On a terminal it is a bar below the other lines, which goes when all is done; elsewhere it is a line now and then. Both
say how many are done a second and how long the rest will take. Who logs it may do so as often as it likes.
"""

import shutil
import time
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, TextIO

from structlog import DropEvent

BAR_SECONDS, LINE_SECONDS = 0.2, 5.0
"""How often a bar is drawn, and a line logged, at most."""
_ERASE = "\r\x1b[2K"
_WIDTH = 24
_UNSAID = ("event", "job", "level", "timestamp", "done", "step", "unit")
"""What a bar does not repeat behind itself."""
Event = MutableMapping[str, Any]


def how_far(event: Event) -> tuple[int, int] | None:
    """(done, all) of an event that tells of progress; the training calls it `step`."""
    text = event.get("done", event.get("step"))
    done, slash, whole = text.partition("/") if isinstance(text, str) else ("", "", "")
    return (int(done), int(whole)) if slash and done.isdigit() and whole.isdigit() else None


@dataclass
class _Seen:
    started: float
    first: int
    done: int
    told: float
    """When it was last told of; at first, when it began."""
    shown: bool = False
    ended: bool = False


class Progress:
    """A processor of structlog: adds `per_second` and `minutes_left`, and drops what comes too often, so that of what
    is soon done nothing is told."""

    def __init__(self, every_seconds: float) -> None:
        self.every_seconds = every_seconds
        self.seen: dict[tuple[Any, Any], _Seen] = {}

    def __call__(self, logger: Any, method: str, event: Event) -> Event:
        far = how_far(event)
        if far is None:
            return event
        (done, whole), now = far, time.monotonic()
        key = (event.get("job"), event.get("event"))
        seen = self.seen.get(key)
        if seen is None or seen.ended or done < seen.done:
            seen = self.seen[key] = _Seen(now, done, done, now)
        seen.done, seen.ended = done, done >= whole
        ends_something = done >= whole and seen.shown
        if now - seen.told < self.every_seconds and not ends_something:
            raise DropEvent
        seen.told, seen.shown = now, done < whole
        rate = (done - seen.first) / max(now - seen.started, 1e-9)
        if rate > 0 and "minutes_left" not in event:
            event["per_second"] = round(rate, 1)
            event["minutes_left"] = round((whole - done) / rate / 60, 2)
        return event


@dataclass
class Counted:
    """Logs how many of `whole` are done as they come, some at a time."""

    logger: Any
    event: str
    whole: int = 0
    done: int = 0

    def __call__(self, more: int = 1) -> None:
        self.done += more
        self.logger.info(self.event, done=f"{self.done}/{self.whole}")


class Bar(str):
    """A text that belongs in the last line of a terminal, until the next one."""


def bar(event: Event) -> Bar:
    """The event as one line that fits the terminal; nothing where all is done."""
    done, whole = how_far(event) or (1, 1)
    if done >= whole:
        return Bar("")
    full = round(_WIDTH * done / max(whole, 1))
    shown = {key: value for key, value in event.items() if key not in _UNSAID}
    left = f"  {_clock(shown.pop('minutes_left'))} left" if "minutes_left" in shown else ""
    rate = shown.pop("per_second", shown.pop("steps_per_second", None))
    words = "".join(f"  {key} {value}" for key, value in shown.items())
    unit = event.get("unit", "")
    far, each = (f"{done} {unit}", f" {unit}") if unit else (f"{done:,}/{whole:,}", "")
    speed = f"  {rate}{each}/s" if rate is not None else ""
    line = f"{event['event']} {'█' * full}{'░' * (_WIDTH - full)} {far}{speed}{left}{words}"
    return Bar(line[: shutil.get_terminal_size().columns - 1])


def _clock(minutes: float) -> str:
    seconds = round(minutes * 60)
    return f"{seconds // 3600}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"


class Screen:
    """A logger for a terminal: lines, and below them at most one bar."""

    def __init__(self, file: TextIO) -> None:
        self.file, self.drawn = file, False

    def msg(self, text: str) -> None:
        self.file.write((_ERASE if self.drawn else "") + (text if isinstance(text, Bar) else f"{text}\n"))
        self.file.flush()
        self.drawn = isinstance(text, Bar) and text != ""

    debug = info = warning = error = critical = exception = msg
