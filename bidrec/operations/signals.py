"""SIGTERM and Ctrl-C: stop at once where nothing is lost by it, or be asked to stop at the next safe place.

`jobs/options.py` runs every command inside `interruptible()`; the training loop asks `stop_requested()` each step; the
server of `jobs/explore.py` runs `until_stopped()`; `jobs/cli.py` is in `starting()` until a command runs. Python
handles signals in the main thread only: in another thread all are inert.
"""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from bidrec.errors import Interrupted

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_met = threading.Event()
"""A signal has come to a command of this process."""
_AGAIN_SECONDS = 0.1
Handler = Callable[[int, FrameType | None], None]


class Stop(KeyboardInterrupt):
    """Of a kind of its own: one that is plainly KeyboardInterrupt and leaves an `exec` of a text has Python end by
    SIGINT, whatever exit code was chosen since."""


@contextmanager
def starting() -> Iterator[None]:
    """End on the spot with 75: no command has begun, nothing is lost."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        _end_at_once(b"stopped by a signal")

    with _handling(end):
        yield


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turn SIGTERM and SIGINT into KeyboardInterrupt; the callable says whether one came. A second one, while that is
    still being met, ends the process on the spot with 75: what it leaves is what SIGKILL leaves.

    Libraries replace the KeyboardInterrupt by errors of their own (DuckDB: RuntimeError), hence the callable. Code in C
    may drop it altogether, as imports do: it is raised again until it is met, that is while no exception is being
    handled, so that nobody is disturbed who cleans up. Ask the callable at the end of the work all the same: where it
    was dropped a moment ago. Without this, a container's first process ignores SIGTERM.
    """
    came, over = threading.Event(), threading.Event()
    alarm_before: list[object] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        if came.is_set():
            _end_at_once(b"stopped at once by a second signal")
        came.set()
        _met.set()
        alarm_before.append(signal.signal(signal.SIGALRM, again))
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS, _AGAIN_SECONDS)
        raise Stop

    def again(number: int, frame: FrameType | None) -> None:
        if sys.exc_info()[0] is None and not over.is_set():
            raise Stop

    with _handling(interrupt), _unraisable_unsaid():
        try:
            yield came.is_set
        finally:
            over.set()
            if alarm_before:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, alarm_before[0])  # type: ignore[arg-type]
            atexit.unregister(_ignore)
            atexit.register(_ignore)


def leave(code: int) -> None:
    """At a command's very end, when all is said: if a signal came, end without taking libraries down that it may have
    found half imported. Of 1,342 commands stopped while they import, four ended by SIGSEGV there, and not with 75."""
    if _met.is_set():
        for stream in filter(None, (sys.stdout, sys.stderr)):  # None where the descriptor was closed from the start
            with suppress(OSError):  # nobody reads it any more
                stream.flush()
        os._exit(code)


def _end_at_once(why: bytes) -> NoReturn:
    os.write(2, b"error: " + why + b"\nhint: run the same command again\n")
    os._exit(Interrupted.exit_code)


def _ignore() -> None:
    """What a command had to do is done and said; the process only takes its libraries down."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def _unraisable_unsaid() -> Iterator[None]:
    """No traceback where the first Stop comes at a place that cannot raise (a finaliser): the next one will be met."""
    before = sys.unraisablehook

    def hook(found: "sys.UnraisableHookArgs") -> None:
        if not isinstance(found.exc_value, Stop):
            before(found)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


@contextmanager
def until_stopped() -> Iterator[None]:
    """For what runs until it is told to end: a signal ends the block, and well."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise Stop

    with _handling(end), suppress(Stop):
        yield


@contextmanager
def stop_requested() -> Iterator[Callable[[], bool]]:
    """Yield a callable that is true from the first SIGTERM or SIGINT on; a second signal ends the block at once.

    Save what is worth keeping when it turns true, and leave the block: a request that was met by nothing better
    raises Interrupted (75) at the block's end. The second signal raises KeyboardInterrupt, which is 75 as well.
    """
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if not asked.is_set():
            asked.set()
            return
        outer = before.get(number)
        if callable(outer):
            outer(number, frame)  # interruptible() takes note of it
        raise KeyboardInterrupt

    with _handling(ask) as before:
        yield asked.is_set
    if asked.is_set():
        raise Interrupted("stopped by a signal", hint="run the same command again to resume")


@contextmanager
def _handling(handler: Handler) -> Iterator[dict[int, object]]:
    """Set `handler` for both signals and yield the handlers that were there, which come back afterwards."""
    before: dict[int, object] = {}
    if threading.current_thread() is threading.main_thread():
        before.update({number: signal.signal(number, handler) for number in _SIGNALS})
    try:
        yield before
    finally:
        for number, outer in before.items():
            signal.signal(number, outer)  # type: ignore[arg-type]
