"""Runs as a training or another bidrec leaves them."""

import pytest

from bidrec.runs import recipe
from bidrec.runs.run import Run
from bidrec.storage.sealed import FORMAT_VERSION, write_json


def finish(run: Run) -> None:
    for box in (run.training_set, run.model, run.second_stage):
        write_json(box / "manifest.json", {"format": FORMAT_VERSION})
    write_json(run.folder / "metrics.json", {})
    run.finish()


def build(run: Run) -> None:
    write_json(run.training_set / "manifest.json", {"format": FORMAT_VERSION})


def of_another_bidrec(monkeypatch: pytest.MonkeyPatch, *of: str) -> None:
    """From here on this bidrec's code is other code than it was, in the parts named or in all."""
    now = recipe.now()
    monkeypatch.setattr("bidrec.runs.recipe.now", lambda: now | {part: "other code" for part in of or now})
