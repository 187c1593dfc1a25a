"""One job at a time where two would spoil each other's work.

The lock lies on a file of its own and belongs to the process: the operating system gives it back however the process
ends, SIGKILL included, so there is no stale lock to clear away. It holds among the jobs of one machine, or of one
shared volume that supports flock.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bidrec import log
from bidrec.storage import writing

LOCK = ".lock"


@contextmanager
def one_job_at_a_time(folder: Path) -> Iterator[None]:
    """Hold the folder's lock during the block; where another job holds it, say so in the log and wait.

    Not to be nested for one folder. A signal ends the waiting (`bidrec/signals.py`).
    Raises CannotWrite (73) where the folder cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.get("lock").info("waiting for another job to finish", folder=str(folder))
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
