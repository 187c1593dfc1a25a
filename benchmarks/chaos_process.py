"""One job in a process of its own, forked from one that has imported everything; struck, or left to its end."""

import os
import pickle
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.chaos_writes import Strike

if TYPE_CHECKING:
    from benchmarks.chaos_jobs import Job
    from benchmarks.chaos_market import Market

LONGEST = 3600.0
"""Seconds after which a job is taken to hang."""


@dataclass(frozen=True)
class Outcome:
    code: int
    """Exit code; negative: the signal that ended it."""
    seconds: float
    was_struck: bool
    stdout: str
    stderr: str
    writes: dict[str, int]
    """Calls that each kind of strike counts, where chaos_writes is loaded."""
    cpu: float
    """Seconds of the processor."""

    def __str__(self) -> str:
        return f"exit {self.code} after {self.seconds:.2f} s"


def run_job(job: "Job", market: "Market", strike: Strike) -> Outcome:
    """Run the job in the market's home and strike it."""
    out, err, written = (market.folder / name for name in ("stdout", "stderr", "writes"))
    written.unlink(missing_ok=True)
    begun, begins = os.pipe()
    child = fork(lambda: _in_child(job, market, strike, written, begins), out, err)
    os.close(begins)
    os.read(begun, 1)  # on a busy machine a process may wait for its first moment longer than its job takes
    os.close(begun)
    started = time.monotonic()
    status = _wait(child, strike.after) if strike.signal else None
    was_struck = bool(strike.signal) and status is None
    if was_struck:
        os.killpg(child, strike.signal)
    status = status or _wait(child, LONGEST)
    if status is None:
        os.killpg(child, signal.SIGKILL)
        status = os.wait4(child, 0)[1:]
    code = os.waitstatus_to_exitcode(status[0])
    writes = strike.read(written)
    if strike.at_write or strike.signal == signal.SIGKILL:  # killed by it, or it failed that many writes
        was_struck = code == -signal.SIGKILL or writes.get("struck", 0) > 0
    return Outcome(
        code=code,
        seconds=time.monotonic() - started,
        was_struck=was_struck,
        stdout=out.read_text(encoding="utf-8", errors="replace"),
        stderr=err.read_text(encoding="utf-8", errors="replace"),
        writes=writes,
        cpu=status[1].ru_utime + status[1].ru_stime,
    )


def _in_child(job: "Job", market: "Market", strike: Strike, written: Path, begins: int) -> int:
    os.environ.update(market.environment)
    os.chdir(market.folder)
    strike.arm(market.home)
    os.write(begins, b".")
    os.close(begins)
    try:
        return job.run()
    finally:
        strike.disarm(written)


def fork(function: Callable[[], int], stdout: Path, stderr: Path) -> int:
    """Run the function in a forked process, which leads a group of its own; returns its id."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.setsid()
        for path, descriptor in ((stdout, 1), (stderr, 2)):
            opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(opened, descriptor)
            os.close(opened)
        code = function()
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _wait(child: int, seconds: float) -> tuple[int, resource.struct_rusage] | None:
    """(status, what it used) of the child if it ends within so many seconds."""
    until = time.monotonic() + seconds
    while True:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            return status, used
        if time.monotonic() >= until:
            return None
        time.sleep(0.002)


def in_child(function: Callable[[], Any]) -> Any:
    """What the function returns, computed in a forked process.

    The process that forks the jobs starts no thread of its own: what holds a lock in it would never give it back in a
    fork. So it computes nothing itself.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(reading)
            with os.fdopen(writing, "wb") as file:
                pickle.dump(function(), file)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        answer = file.read()
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("failed in a forked process")
    return pickle.loads(answer)  # noqa: S301  our own fork's
