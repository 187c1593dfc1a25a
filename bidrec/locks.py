"""One job at a time where two would spoil each other's work: the second waits (a write-back, an apply), or is refused
(an ingest, a build: what it would do is being done).

The lock lies on a file of its own and belongs to the process: the operating system gives it back however the process
ends, SIGKILL included, so there is no stale lock to clear away. It holds among the jobs of one machine, or of one
shared volume that supports flock.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bidrec import log
from bidrec.errors import Interrupted
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


def is_held(folder: Path) -> bool:
    """Whether a job holds the folder's lock at this moment."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def alone(home: Path, box: str) -> Iterator[None]:
    """Be the only one at work on `box` in this home, and sweep away the folders that a killed one has left of it.

    Raises Interrupted (75) while another one does, CannotWrite (73).
    """
    with writing(home):
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / f".{box}.lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Interrupted(
                f"another {box} job is at work in {home}", hint="run it again when that has ended"
            ) from None
        for litter in home.glob(f".{box}.*"):
            if litter.is_dir():
                shutil.rmtree(litter, ignore_errors=True)
        yield
