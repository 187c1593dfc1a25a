"""One case: made, run in this process, and judged.

A command has to end in time, with a documented exit code, and where that is not 0 with one line that says why.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from click.testing import CliRunner

from benchmarks.fuzz_cases import Configuration, Home, Place, Source
from bidrec.errors import BidrecError
from jobs.cli import main

CODES = {0, 2} | {error.exit_code for error in BidrecError.__subclasses__()}
"""Done, Click's usage, and bidrec's own but for 70, which is a bug."""
LONGEST = 120
"""Seconds after which a command is taken to hang, on a busy machine."""
LONGEST_LINE = 1000
Case = Source | Configuration | Home


class _Hangs(BaseException):
    """No Exception: a job that goes on after one of these would go on."""


class Ended(NamedTuple):
    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Outcome:
    code: int
    fault: str | None
    seconds: float


def try_case(case: Case, at: Place, *, process: bool = False) -> Outcome:
    """Prepare the case in the emptied folder, run it (in a `process` of its own), and say what is wrong."""
    shutil.rmtree(at.folder, ignore_errors=True)
    at.folder.mkdir(parents=True)
    os.chdir(at.folder)
    if isinstance(case, Home) and case.command not in at.answers:
        sound = _invoke(*case.sound(at))
        if sound.code:
            raise RuntimeError(f"{case.command} ends with {sound.code} in the sound home: {sound.stderr[-2000:]}")
        at.answers[case.command] = case.answer(at, sound.stdout)
    command, home = case.prepare(at)
    started = time.monotonic()
    before = signal.signal(signal.SIGALRM, _alarm)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        done = (_in_a_process if process else _invoke)(command, home)
    except _Hangs as hangs:
        done = Ended(-signal.SIGALRM, "", str(hangs))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    fault = judge(done.code, done.stdout, done.stderr)
    if fault is None and done.code == 0:
        fault = case.lost(at, done.stdout)
    return Outcome(done.code, fault, time.monotonic() - started)


def _invoke(command: list[str], home: Path) -> Ended:
    done = CliRunner().invoke(main, [*command, "--json"], env={"BIDREC_HOME": str(home)})
    return Ended(done.exit_code, done.stdout, done.stderr)


def _in_a_process(command: list[str], home: Path) -> Ended:
    words = [sys.executable, "-m", "jobs.cli", *command, "--json"]
    done = subprocess.run(words, env={**os.environ, "BIDREC_HOME": str(home)}, capture_output=True)
    return Ended(done.returncode, *(text.decode("utf-8", "replace") for text in (done.stdout, done.stderr)))


def judge(code: int, stdout: str, stderr: str) -> str | None:
    """What is wrong with how a command ended, or None."""
    lines = [line for line in stderr.splitlines() if line.lower().startswith("error: ")]
    if code not in CODES:
        return f"exit {code}: {lines or stderr[-500:]}"
    if "Traceback (most recent call last)" in stderr:
        return "a traceback"
    if code == 0:
        return None if _is_json(stdout) else "exit 0 without one JSON object on stdout"
    if len(lines) != 1:
        return f"exit {code} with {len(lines)} lines of error: {stderr[-500:]!r}"
    return None if len(lines[0]) <= LONGEST_LINE else f"an error of {len(lines[0])} characters"


def _is_json(stdout: str) -> bool:
    try:
        return isinstance(json.loads(stdout), dict)
    except ValueError:
        return False


def _alarm(*_: Any) -> None:
    raise _Hangs(f"no end after {LONGEST} seconds")
