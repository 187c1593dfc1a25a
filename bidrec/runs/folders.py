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
import re
import secrets
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bidrec import __version__
from bidrec.config import Config
from bidrec.errors import ContractError, InputMissing
from bidrec.operations import log
from bidrec.runs import recipe
from bidrec.storage.locks import is_held
from bidrec.storage.sealed import FORMAT_VERSION, MANIFEST, fingerprint, read_json, read_manifest, write_json
from bidrec.storage.whole import sweep, writing

DECISIVE = ("split", "model", "loss", "training", "ranking", "evaluation")
"""The tables of the configuration that a run's result depends on, besides its inputs."""
PINNED = "pinned.json"
_STAMP = "%Y%m%dT%H%M%SZ"
_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
_PRUNED = ".pruned."
"""In runs/, which may be a volume of its own, the beginning of what a run is called while it is deleted."""
GOES_ON = timedelta(days=2)
"""A run begun longer ago is not gone on with if the source has had news since: it would end with figures of old."""
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


def produced() -> dict[str, str]:
    """When, and by what: for a manifest. The image says its name and its revision; outside of one they are empty."""
    return {
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "bidrec": __version__,
        "revision": os.environ.get("BIDREC_REVISION", ""),
        "image": os.environ.get("BIDREC_IMAGE", ""),
    }


def start_or_resume(
    config: Config,
    inputs: str,
    *,
    lasting: str = "",
    backtest: bool = False,
    force: bool = False,
    begun: dict[str, Any] | None = None,
) -> Run:
    """The newest run that learns the same in the same way by the same code, to go on with or to take as it is; or one
    that was stopped, though the source has had news since; or else a new one.

    `inputs`: the fingerprint of the feature tables and of the fields read from them. `lasting`: that of what stays of
    these where the source only has had news. Where home and source lie does not matter, so a moved home goes on.
    A training rather goes on with what it began, on other data only if no run was finished since, and takes no run that
    a backtest made; a backtest rather takes a finished one, whoever made it. `force`: never a finished one, and none of
    other data. `begun`: how a new run begins, for its lineage; one that is gone on with has its own.
    """
    settings = {name: value for name, value in config.as_dict().items() if name in DECISIVE}
    code, there = recipe.now(), all_runs(config.home_path)
    way = fingerprint({"code": code["learning"], "settings": settings, "lasting": lasting})
    of_this_way = [run for run in there if run.begun_as("way") == way]
    alike = [run for run in of_this_way if run.begun_as("inputs") == inputs]
    alike = [run for run in alike if not run.finished or (run.whole and not force)]
    if not backtest:
        alike = [run for run in alike if not run.backtest]
    if alike:
        return max(alike, key=lambda run: (run.finished == backtest, run.id))
    made = None if backtest else newest(config.home_path)
    stopped = [run for run in of_this_way if run.backtest == backtest and _is_stopped(run)]
    stopped = [run for run in stopped if made is None or run.id > made.id]  # older, it would never be published
    if stopped and not force:
        text = "the source has had news since this run was begun: it ends without them"
        log.get("runs").warning(text, id=stopped[-1].id, hint="bidrec train --force begins anew")
        return stopped[-1]
    if there and there[-1].recipe != code:
        log.get("runs").info("bidrec has changed since the newest run: a new one begins", newest=there[-1].id)
    run = Run(config.home_path / "runs" / f"{_next_stamp(config.home_path)}-{secrets.token_hex(3)}")
    facts = {"way": way, "recipe": code, "inputs": inputs, "backtest": backtest, "begun": begun or {}}
    write_json(run.folder / "config.json", {**facts, "config": config.as_dict()})
    return run


def _is_stopped(run: Run) -> bool:
    """Whether the run can be gone on with when the source has had news: a training reads nothing but its training set.
    On a source that lives there are news whenever a training is begun again."""
    if run.finished or not _ID.fullmatch(run.id) or read_manifest(run.training_set) is None:
        return False
    return datetime.now(UTC) - _stamp(run) < GOES_ON


def _next_stamp(home: Path) -> str:
    """Now (UTC), but later than every run there, also where the clock was set back: the newest is what is published."""
    stamps = (_stamp(run) for run in all_runs(home) if _ID.match(run.id))
    return max([datetime.now(UTC), *(stamp + timedelta(seconds=1) for stamp in stamps)]).strftime(_STAMP)


def _stamp(run: Run) -> datetime:
    return datetime.strptime(run.id[:16], _STAMP).replace(tzinfo=UTC)


def sweep_runs(home: Path) -> None:
    """Delete what killed trainings have left: folders that never became a run, half-written boxes and checkpoints.

    For a job that trains alone in this home. Raises CannotWrite (73).
    """
    with writing(home / "runs"):
        for folder in (home / "runs").glob("*/"):
            if not _is_run(folder) and _ID.fullmatch(folder.name):
                shutil.rmtree(folder)
            for place in (folder, Run(folder).checkpoints):
                sweep(place)


def all_runs(home: Path) -> list[Run]:
    """Every run of the home, oldest first."""
    return [Run(folder) for folder in sorted((home / "runs").glob("*/")) if _is_run(folder)]


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
                os.rename(run.folder, run.folder.with_name(f"{_PRUNED}{run.id}"))
        for litter in (home / "runs").glob(f"{_PRUNED}*"):
            shutil.rmtree(litter, ignore_errors=True)
    return old


def _is_run(folder: Path) -> bool:
    """By its configuration, which is written first. A link to nothing there is damage, for its reader to name."""
    return not folder.name.startswith(_PRUNED) and os.path.lexists(folder / "config.json")


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
