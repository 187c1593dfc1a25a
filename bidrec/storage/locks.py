"""One job of a kind at a time in a home: a second one waits, at most so long as it was told to, and then ends with 75.

    .ingest.lock   .features.lock   .feast.lock (apply, materialize)   .train.lock
    .tuning.lock   .published.lock (write-back)

The lock lies on the file and belongs to the process: the operating system gives it back however the process ends,
SIGKILL included, so there is no stale lock to clear away. What is written in the file only says who holds it. It holds
among the jobs of one machine, or of all machines of a volume that supports flock: NFS gives back what a vanished
machine held once its lease has run out. A volume on which the lock holds nobody back is refused. Readers take none.
"""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from bidrec.errors import CannotWrite, Interrupted
from bidrec.operations import log
from bidrec.storage.home import is_begun, require_own, require_volume
from bidrec.storage.whole import writing

_EVERY_SECONDS = 0.1


@contextmanager
def one_job_at_a_time(home: Path, box: str, wait: float) -> Iterator[None]:
    """Hold the lock of `box` in this home during the block. Not to be nested for one box.

    wait: seconds to wait for another job that holds it. A signal ends the waiting (`bidrec/operations/signals.py`).
    Raises Interrupted (75) where the other one takes longer, CannotWrite (73) where the home cannot be written or its
    volume is no place for one, ConfigurationError (64) where it is no home (`bidrec/storage/home.py`).
    """
    path = home / f".{box}.lock"
    if not is_begun(home):
        require_own(home)
        require_volume(home)
    with writing(home):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        _take(descriptor, path, box, wait)
        with suppress(OSError):  # on a full disk the lock holds all the same
            os.truncate(descriptor, 0)
            started = datetime.now(UTC).isoformat(timespec="seconds")
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()} since {started}".encode(), 0)
            os.fsync(descriptor)  # NFS keeps it from other machines until the file is closed
        yield
    finally:
        os.close(descriptor)


def is_held(home: Path, box: str) -> bool:
    """Whether a job holds the lock of `box` in this home at this moment. Asked of a home that may only be read, too.

    Raises CannotWrite (73) where its volume keeps no locks.
    """
    try:
        descriptor = os.open(home / f".{box}.lock", os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # NFS gives an exclusive one only to who may write
    except BlockingIOError:
        return True
    except OSError as error:
        raise _without_locks(home, error.strerror) from error
    finally:
        os.close(descriptor)
    return False


def _take(descriptor: int, path: Path, box: str, wait: float) -> None:
    until = time.monotonic() + wait
    told = False
    while not _free(descriptor, path):
        holder = path.read_text(encoding="utf-8", errors="replace").strip() or "a process"
        if time.monotonic() >= until:
            raise Interrupted(
                f"another {box} job is at work in {path.parent}: {holder}",
                hint="run it again when that has ended, or let it wait with --wait SECONDS",
            )
        if not told:
            log.get("lock").info("waiting for another job to finish", box=box, holder=holder, seconds=wait)
            told = True
        time.sleep(_EVERY_SECONDS)
    if _free_again(path):
        raise _without_locks(path.parent, "two jobs would spoil each other's work")


def _free(descriptor: int, path: Path) -> bool:
    """Take the lock if nobody has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise _without_locks(path.parent, error.strerror) from error
    return True


def _without_locks(home: Path, why: str | None) -> CannotWrite:
    return CannotWrite(
        f"the volume of {home} keeps no locks: {why}",
        hint="mount it with locks (flock), or put the home on another volume",
    )


def _free_again(path: Path) -> bool:
    """Whether the lock that we hold would be given to somebody else."""
    other = os.open(path, os.O_RDWR)
    try:
        return _free(other, path)
    finally:
        os.close(other)
