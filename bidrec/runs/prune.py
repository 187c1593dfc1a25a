"""Runs that nobody needs any more, and what killed trainings have left."""

import os
import shutil
from pathlib import Path

from bidrec.runs.found import ID, PRUNED, all_runs, is_run, published_run
from bidrec.runs.run import Run
from bidrec.storage.locks import is_held
from bidrec.storage.whole import sweep, writing


def prune(home: Path, keep: int, *, dry_run: bool = False) -> list[Run]:
    """Delete old runs and return them: all but the newest `keep` finished ones and what is to stay anyway.

    What stays: the published run, pinned ones, finished ones while a write-back is at work, which may be publishing any
    of them, unfinished ones while a training is, and those begun after the newest finished one, which a training may go
    on with. `dry_run` deletes nothing. Killed halfway, a run is there or gone; the rest is swept away next time. Raises
    CannotWrite (73).
    """
    # Asked first: a write-back that ends now has named its run, and a training that does has finished its.
    publishing, training = is_held(home, "published"), is_held(home, "train")
    there = all_runs(home)
    finished = [run for run in there if run.finished]
    stay = {run.id for run in finished[max(0, len(finished) - keep) :]} | {published_run(home)}
    begun_since = finished[-1].id if finished else ""
    unfinished = [run for run in there if run not in finished]  # asked once: a training may end at this moment
    stay |= {run.id for run in there if run.pinned} | {run.id for run in unfinished if run.id > begun_since}
    old = [run for run in there if run.id not in stay and not (training if run in unfinished else publishing)]
    if not dry_run:
        for run in old:
            with writing(run.folder):
                # In one step it is no run any more.
                os.rename(run.folder, run.folder.with_name(f"{PRUNED}{run.id}"))
        for litter in (home / "runs").glob(f"{PRUNED}*"):
            shutil.rmtree(litter, ignore_errors=True)
    return old


def sweep_runs(home: Path) -> None:
    """Delete what killed trainings have left: folders that never became a run, half-written boxes and checkpoints.

    For a job that trains alone in this home. Raises CannotWrite (73).
    """
    with writing(home / "runs"):
        for folder in (home / "runs").glob("*/"):
            if not is_run(folder) and ID.fullmatch(folder.name):
                shutil.rmtree(folder)
            for place in (folder, Run(folder).checkpoints):
                sweep(place)
