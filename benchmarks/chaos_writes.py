"""Strikes: a signal at a moment, SIGKILL at the n-th write below the home, or an error there and at all later ones.

The latter two by a small library (chaos_writes.c) that stands between every library of the process and the system's
calls: DuckDB, Arrow, SQLite, safetensors and Python itself all meet the error as the disk would give it.
"""

import ctypes
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

OPEN, WRITE, SYNC, NAME = 1, 2, 4, 8
KINDS = {
    "KILL": OPEN | WRITE | SYNC | NAME,
    "KILL AT A NAME": NAME,
    "ENOSPC": OPEN | WRITE | NAME,
    "EIO": WRITE | SYNC,
    "EACCES": OPEN | NAME,
}
_LOADED = "BIDREC_CHAOS_WRITES"


@dataclass(frozen=True)
class Strike:
    signal: int = 0
    after: float = 0.0
    """Seconds after which the signal is sent."""
    at_write: int = 0
    """The first call that is struck, counted from 1; 0: none."""
    kind: str = "KILL"

    @staticmethod
    def none() -> "Strike":
        return Strike()

    @staticmethod
    def signalling(name: str, after: float) -> "Strike":
        return Strike(signal=signal.Signals[f"SIG{name}"], after=after)

    @staticmethod
    def at(kind: str, write: int) -> "Strike":
        """kind: of KINDS, which says what calls are counted and whether the process is killed or meets an error."""
        return Strike(at_write=write, kind=kind)

    def arm(self, home: Path) -> None:
        """In the job's process, before it begins."""
        if is_loaded():
            failure = getattr(errno, self.kind, 0)
            library().chaos_arm(os.fsencode(f"{home}/"), KINDS[self.kind], self.at_write, failure)

    def disarm(self, report: Path) -> None:
        """In the job's process, after it has ended: write down how many calls there were of each kind."""
        if is_loaded():
            library().chaos_disarm()
            counted = {name: library().chaos_calls(kinds) for name, kinds in KINDS.items()}
            report.write_text(json.dumps(counted | {"struck": library().chaos_struck()}))

    @staticmethod
    def read(report: Path) -> dict[str, int]:
        return json.loads(report.read_text()) if report.is_file() else {}


def is_loaded() -> bool:
    return _LOADED in os.environ


def library() -> ctypes.CDLL:
    found = ctypes.CDLL(None)
    found.chaos_arm.argtypes = (ctypes.c_char_p, ctypes.c_int, ctypes.c_long, ctypes.c_int)
    found.chaos_calls.restype = found.chaos_struck.restype = ctypes.c_long
    return found


def delete_library() -> None:
    if is_loaded():
        shutil.rmtree(Path(os.environ[_LOADED]).parent, ignore_errors=True)


def missing() -> str | None:
    """Why writes cannot be struck here, or None."""
    return None if shutil.which("cc") and sys.platform == "linux" else "no C compiler (Debian: apt-get install gcc)"


def run_again_with_it() -> None:
    """Replace this process by the same one with the library loaded."""
    if why := missing():
        sys.exit(why)
    folder = tempfile.mkdtemp(prefix="bidrec-chaos-writes-")
    built = f"{folder}/chaos_writes.so"
    source = Path(__file__).with_suffix(".c")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", built, str(source), "-ldl"], check=True)
    environment = os.environ | {"LD_PRELOAD": built, _LOADED: built}
    os.execve(sys.executable, [sys.executable, "-m", "benchmarks.chaos", *sys.argv[1:]], environment)
