"""A training whose numbers are no longer finite: what the step was about is written down, and the run ends.

Writes  runs/ID/offending_batch.json
"""

from pathlib import Path

from bidrec.errors import BidrecError
from bidrec.storage.sealed import write_json
from bidrec.training import processes
from bidrec.training.checkpoint import Progress
from bidrec.training.steps import Steps
from bidrec.training.watch import NotFinite


def diverged(wrong: NotFinite, progress: Progress, steps: Steps, rows_of: str, run: Path) -> BidrecError:
    """To be raised (70), by all processes. The rows are numbers in the training set's table `rows_of`: notice or pair.
    With them are those of the step before, whose update may have done the damage."""
    at, step = progress.batch - wrong.steps_ago, progress.step - wrong.steps_ago
    file = run / "offending_batch.json"
    offending = {
        "step": step,
        "wrong": wrong.what,
        "rows_of": rows_of,
        "rows": steps.rows(at).tolist(),
        "rows_of_the_step_before": steps.rows(at - 1).tolist() if at else [],
    }
    processes.first(lambda: write_json(file, offending))
    return BidrecError(
        f"{wrong.what} at step {step}; its rows are in {file}, the last checkpoint is kept",
        hint="look at these rows, lower training.learning_rate or set training.clip_norm",
    )
