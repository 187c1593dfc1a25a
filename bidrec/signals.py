"""SIGTERM and Ctrl-C: stop at once where nothing is lost by it, or be asked to stop at the next safe place.

`jobs/options.py` runs every command inside `interruptible()`; the training loop asks `stop_requested()` each step.
Python handles signals in the main thread only: in another thread both are inert.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from bidrec.errors import Interrupted

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
Handler = Callable[[int, FrameType | None], None]


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turn SIGTERM and SIGINT into KeyboardInterrupt; the callable says whether one came. A second one, while that is
    still being met, ends the process on the spot with 75: what it leaves is what SIGKILL leaves.

    Libraries replace the KeyboardInterrupt by errors of their own (DuckDB: RuntimeError), hence the callable.
    Without this, a container's first process ignores SIGTERM.
    """
    came = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        if came.is_set():
            os.write(2, b"error: stopped at once by a second signal\nhint: run the same command again\n")
            os._exit(Interrupted.exit_code)
        came.set()
        raise KeyboardInterrupt

    with _handling(interrupt):
        yield came.is_set


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
