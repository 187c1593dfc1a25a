"""Run folders: one a training, named by its UTC time; finished when its manifest is there.

runs/<yyyymmddThhmmssZ>-<6 hex>/
    config.json     the configuration as resolved, fingerprints of what the run is made from and by, how it began
    training_set/   see bidrec.training_set
    checkpoints/    until the model is whole
    profile/        where the time of some steps went, with `train --profile`
    offending_batch.json    what loss or weights were no longer finite on
    validated/      weights that did not see the validation window, where `training.refit` made others
    model/          weights and how to rebuild the model
    second_stage/   the blend that orders what the model finds
    metrics.json    the evaluation
    details.json    of the evaluation: example notices, and the map of all
    report.html     the page that shows the run to people
    model_card.md   what the model is for, what it learned from, how good it is; .json is the same for programs
    importance.json what each field is worth, where it was measured
    tensorboard/    the learning curve and the metrics, with `tracking.tensorboard`
    pinned.json     there where the run is to stay, whatever is pruned
    manifest.json   written last
"""

import importlib.metadata
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bidrec import __version__
from bidrec.errors import ContractError
from bidrec.runs import recipe
from bidrec.storage.sealed import FORMAT_VERSION, MANIFEST, read_json, read_manifest, write_json
from bidrec.storage.whole import writing

PINNED = "pinned.json"
PACKAGES = ("torch", "torchrec", "fbgemm-gpu", "fbgemm-gpu-cpu", "duckdb", "feast", "numpy", "pyarrow")


@dataclass(frozen=True)
class Run:
    folder: Path

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def training_set(self) -> Path:
        return self.folder / "training_set"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def validated(self) -> Path:
        """The weights that never saw the validation window, where others were trained on it afterwards."""
        return self.folder / "validated"

    @property
    def second_stage(self) -> Path:
        return self.folder / "second_stage"

    @property
    def page(self) -> Path:
        return self.folder / "report.html"

    @property
    def finished(self) -> bool:
        return read_manifest(self.folder) is not None

    @property
    def whole(self) -> bool:
        """Whether it is finished and nothing of it was taken away since."""
        boxes = (self.training_set, self.model, self.second_stage)
        there = all((box / MANIFEST).is_file() for box in boxes) and (self.folder / "metrics.json").is_file()
        return there and self.finished

    @property
    def diverged(self) -> bool:
        return (self.folder / "offending_batch.json").is_file()

    @property
    def backtest(self) -> bool:
        """Whether it was only made to measure an earlier cutoff: never the one that is published unless it is named."""
        return bool(self.begun_as("backtest"))

    @property
    def recipe(self) -> dict[str, str]:
        """The fingerprints of the code that it was begun with (bidrec.runs.recipe)."""
        return self.begun_as("recipe") or {}

    def begun_as(self, fact: str) -> Any:
        """What its config.json says: `way`, the fingerprint of code, settings and what lasts of the data; `inputs`, of
        the data; and so on. None in a run of a bidrec that did not say so."""
        return read_json(self.folder / "config.json").get(fact)

    @property
    def pinned(self) -> bool:
        return (self.folder / PINNED).is_file()

    @property
    def of_this_code(self) -> bool:
        """Whether the code that would read its fit, weights and blend now is that which they were made by."""
        return self.recipe.get("serving") == recipe.now()["serving"]

    def require_this_code(self) -> None:
        """Raises ContractError (65) where it is of other code: what this one makes of it is not what it learned."""
        if not self.of_this_code:
            raise ContractError(
                f"run {self.id} was made by another bidrec, whose features, model or signals are not those of this one",
                hint="bidrec train makes a new run; what is published stays until the next bidrec write-back",
            )

    def pin(self) -> None:
        """Keep the run: nothing prunes it."""
        write_json(self.folder / PINNED, {"pinned_at": datetime.now(UTC).isoformat(timespec="seconds")})

    def unpin(self) -> None:
        with writing(self.folder):
            (self.folder / PINNED).unlink(missing_ok=True)

    def settings(self) -> dict[str, Any]:
        """The configuration the run was made with, as plain JSON."""
        return read_json(self.folder / "config.json")["config"]

    def metrics(self) -> dict[str, Any]:
        """The run's evaluation. Raises InputMissing (66) where it has none yet."""
        return read_json(self.folder / "metrics.json")

    def importance(self) -> dict[str, Any] | None:
        """What each field is worth (bidrec.training.importance), or None where it was not measured."""
        path = self.folder / "importance.json"
        return read_json(path) if path.is_file() else None

    def begun(self) -> dict[str, Any]:
        """How the run began (bidrec.runs.lineage.begun)."""
        return self.begun_as("begun") or {}

    def finish(self, **facts: Any) -> None:
        """Write the manifest: the run is whole from here on. The boxes inside have manifests of their own."""
        write_json(
            self.folder / MANIFEST,
            {
                "format": FORMAT_VERSION,
                "kind": "run",
                "run": self.id,
                **produced(),
                "packages": _packages(),
                **facts,
            },
        )


def produced() -> dict[str, Any]:
    """When, and by what: for a manifest. The image says its name and its revision; outside of one they are empty."""
    return {
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "bidrec": __version__,
        "revision": os.environ.get("BIDREC_REVISION", ""),
        "image": os.environ.get("BIDREC_IMAGE", ""),
    }


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
