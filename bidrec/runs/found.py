"""Which runs a home has: all of them, the newest, one by its id, the one that is published.

Reads   runs/
"""

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from bidrec.errors import InputMissing
from bidrec.runs.run import Run
from bidrec.storage.sealed import read_manifest

STAMP = "%Y%m%dT%H%M%SZ"
ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
PRUNED = ".pruned."
"""In runs/, which may be a volume of its own, the beginning of what a run is called while it is deleted."""


def all_runs(home: Path) -> list[Run]:
    """Every run of the home, oldest first."""
    return [Run(folder) for folder in sorted((home / "runs").glob("*/")) if is_run(folder)]


def newest(home: Path) -> Run | None:
    """The newest finished run that is no backtest's, and of this code where any is; None where there is none."""
    finished = [run for run in all_runs(home) if not run.backtest and run.finished]
    own = [run for run in finished if run.of_this_code]
    return max(own or finished, key=lambda run: run.id, default=None)


def find(home: Path, run_id: str | None = None) -> Run:
    """The finished run with this id; without one, the newest. Raises InputMissing (66) where there is none."""
    asked = (run for run in all_runs(home) if run.id == run_id and run.finished)
    found = newest(home) if run_id is None else next(asked, None)
    if found is None:
        what = "no finished run" if run_id is None else f"no finished run {run_id or repr(run_id)}"
        raise InputMissing(f"{what} in {home / 'runs'}", hint="bidrec train makes one; bidrec runs lists them")
    return found


def named(home: Path, run_id: str) -> Run:
    """The run with this id, finished or not. Raises InputMissing (66) where there is none."""
    for run in all_runs(home):
        if run.id == run_id:
            return run
    raise InputMissing(f"no run {run_id} in {home / 'runs'}", hint="bidrec runs lists them")


def published_run(home: Path) -> str | None:
    """The id of the run whose recommendations readers see, or None."""
    return (read_manifest(home / "published" / "current") or {}).get("run")


def stamp(run: Run) -> datetime:
    return datetime.strptime(run.id[:16], STAMP).replace(tzinfo=UTC)


def is_run(folder: Path) -> bool:
    """By its configuration, which is written first. A link to nothing there is damage, for its reader to name."""
    return not folder.name.startswith(PRUNED) and os.path.lexists(folder / "config.json")
