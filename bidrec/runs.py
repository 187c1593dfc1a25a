"""Run folders: one a training, named by its UTC time; finished when its manifest is there.

runs/<yyyymmddThhmmssZ>-<6 hex>/
    config.json     the configuration as resolved, and the fingerprint of what the run was made from
    training_set/   see bidrec.training_set
    checkpoints/    while it trains
    profile/        where the time of some steps went, with `train --profile`
    offending_batch.json    what the loss was no longer finite on
    validated/      weights that did not see the validation window, where `training.refit` made others
    model/          weights and how to rebuild the model
    second_stage/   the blend that orders what the model finds
    metrics.json    the evaluation
    importance.json what each field is worth, where it was measured
    manifest.json   written last
"""

import importlib.metadata
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bidrec import __version__
from bidrec.config import Config
from bidrec.errors import InputMissing
from bidrec.storage import FORMAT_VERSION, fingerprint, read_json, read_manifest, write_json

DECISIVE = ("split", "model", "loss", "training", "ranking", "evaluation")
"""The tables of the configuration that a run's result depends on, besides its inputs."""
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
    def finished(self) -> bool:
        return read_manifest(self.folder) is not None

    @property
    def backtest(self) -> bool:
        """Whether it was only made to measure an earlier cutoff: never the one that is published unless it is named."""
        return bool(read_json(self.folder / "config.json").get("backtest"))

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

    def finish(self, **facts: Any) -> None:
        """Write the manifest: the run is whole from here on. The boxes inside have manifests of their own."""
        write_json(
            self.folder / "manifest.json",
            {
                "format": FORMAT_VERSION,
                "kind": "run",
                "run": self.id,
                "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "bidrec": __version__,
                "packages": _packages(),
                **facts,
            },
        )


def start_or_resume(config: Config, inputs: str, *, backtest: bool = False) -> Run:
    """The newest unfinished run that learns the same in the same way, or a new one.

    `inputs`: the fingerprint of the feature tables and of the fields read from them. Where home and source lie does
    not matter, so a moved home goes on. A `backtest` rather takes a finished one, whoever made it; what a backtest
    began, a training does not go on with.
    """
    settings = {name: value for name, value in config.as_dict().items() if name in DECISIVE}
    made_from = fingerprint({"settings": settings, "inputs": inputs})
    alike = [run for run in all_runs(config.home_path) if _made_from(run) == made_from]
    if backtest:
        alike.sort(key=lambda run: run.finished)
    else:
        alike = [run for run in alike if not run.finished and not run.backtest]
    if alike:
        return alike[-1]
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    run = Run(config.home_path / "runs" / f"{stamp}-{secrets.token_hex(3)}")
    facts = {"made_from": made_from, "inputs": inputs, "backtest": backtest, "config": config.as_dict()}
    write_json(run.folder / "config.json", facts)
    return run


def all_runs(home: Path) -> list[Run]:
    """Every run of the home, oldest first."""
    return [Run(path.parent) for path in sorted((home / "runs").glob("*/config.json"))]


def newest(home: Path, run_id: str | None = None) -> Run | None:
    """The finished run with this id, or the newest finished one that is no backtest's; None where there is none."""
    asked = [run for run in all_runs(home) if (run.id == run_id if run_id else not run.backtest)]
    finished = [run for run in asked if run.finished]
    return finished[-1] if finished else None


def find(home: Path, run_id: str | None = None) -> Run:
    """The same; raises InputMissing (66) where there is none."""
    found = newest(home, run_id)
    if found is None:
        what = f"no finished run {run_id}" if run_id else "no finished run"
        raise InputMissing(f"{what} in {home / 'runs'}", hint="bidrec train makes one; bidrec runs lists them")
    return found


def _made_from(run: Run) -> str:
    return read_json(run.folder / "config.json").get("made_from", "")


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
