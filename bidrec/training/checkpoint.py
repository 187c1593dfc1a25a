"""Where a training stands, as safetensors and JSON: written whole, read back exactly.

Writes  runs/ID/checkpoints/STEP/ while training
A checkpoint holds the weights, the optimiser's moments, the steps' cache, the random state and the best weights so far.
It is copied at its step and written by a thread while the training goes on (Writer).
"""

import re
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bidrec.operations import log, machine
from bidrec.storage.intact import is_whole
from bidrec.storage.sealed import read_json, write_json, write_manifest
from bidrec.storage.whole import whole_folder
from bidrec.training.distributed import own_rows, whole
from bidrec.training.processes import is_first
from bidrec.training.sharding import rows_by_name

STATE, PROGRESS = "state.safetensors", "progress.json"
MOST_COST = 0.02
"""Of a training's time that checkpoints may take: where one is large, the next waits longer."""


@dataclass
class Progress:
    """Where the loop is: `batch` batches of `epoch` are done."""

    refit: bool = False
    """False while the number of epochs is chosen, true in the second training on everything before the cutoff."""
    epochs: int = 0
    """Epochs of this training, at most."""
    epoch: int = 0
    batch: int = 0
    step: int = 0
    best_recall: float = -1.0
    best_epoch: int = -1
    epochs_without_gain: int = 0
    finished: bool = False
    curve: list[dict[str, float]] = field(default_factory=list)
    """One entry an epoch: mean loss, largest gradient norm measured, learning rate at its end, temperature, steps a
    second (of those since the training last went on), and validation Recall@100 (not in the refit)."""


@dataclass(frozen=True)
class Checkpoint:
    """A training's state at one step, in host memory of its own: the training may go on."""

    progress: Progress
    state: dict[str, Tensor]

    @classmethod
    def of(
        cls, progress: Progress, model: nn.Module, optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]
    ) -> "Checkpoint":
        """Copy everything. `tensors`: the steps' cache, the watch's figures, the best weights (`best.NAME`).

        Of many processes every one must call it, for each has its part of a sharded table; the first has the whole."""
        state = {f"model.{name}": value for name, value in model.state_dict().items()}
        for index, moments in optimiser.state_dict()["state"].items():
            state |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
        state |= {f"extra.{name}": value for name, value in tensors.items()}
        state["random"] = torch.get_rng_state()
        if torch.cuda.is_initialized():
            state["random_cuda"] = torch.cuda.get_rng_state()
        rows_of = _rows_by_key(model, optimiser)
        copied = {
            key: whole(value, rows_of[key]) if key in rows_of else value.detach().to("cpu", copy=True).contiguous()
            for key, value in state.items()
            if key in rows_of or is_first()
        }
        return cls(deepcopy(progress), copied)

    def restore(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
        """Set the weights, the optimiser's moments and the random state; returns what `of` was given as tensors."""
        sharded = {key: rows for key, rows in _rows_by_key(model, optimiser).items() if key in self.state}
        state = self.state | {key: own_rows(self.state[key], rows).clone() for key, rows in sharded.items()}
        model.load_state_dict(with_prefix(state, "model."))
        _restore_moments(optimiser, with_prefix(state, "optimiser."))
        torch.set_rng_state(self.state["random"])
        if "random_cuda" in self.state and torch.cuda.is_initialized():
            torch.cuda.set_rng_state(self.state["random_cuda"])
        return with_prefix(state, "extra.")

    def write(self, folder: Path, kept: int) -> None:
        """Write `folder`/STEP whole, then drop those of later steps, from which this training did not go on, and all
        but the newest `kept` others. Raises CannotWrite (73)."""
        with whole_folder(folder / f"{self.progress.step:08d}") as staging:
            save_file(self.state, staging / STATE)
            write_json(staging / PROGRESS, asdict(self.progress))
            write_manifest(staging, kind="checkpoint", step=self.progress.step)
        there = _checkpoints(folder)
        until_here = [path for path in there if int(path.name) <= self.progress.step]
        for path in set(there) - set(until_here[-kept:]):
            shutil.rmtree(path, ignore_errors=True)


class Writer:
    """Writes checkpoints in a thread while the training goes on, one at a time.

    What the thread could not do is raised where the training looks next: by `look`, `write` or `wait`.
    Leaving the block waits, so that nobody is left with half a checkpoint that a moment more had finished.
    """

    def __init__(self, folder: Path, kept: int) -> None:
        self.folder, self.kept = folder, kept
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint", initializer=machine.give_way)
        self._writing: Future[None] | None = None
        self.cost = 0.0
        """Seconds that the newest one took from the training: while it was copied, and of the cores to write it."""

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    def write(self, checkpoint: Checkpoint, copying: float = 0.0) -> None:
        """Have it written, which took so many seconds to copy; waits first where the one before is not finished."""
        self.wait()
        self.cost = copying
        self._writing = self._thread.submit(self._write, checkpoint)

    def due(self, since: float, every: float) -> bool:
        """Whether another is due `since` seconds after the newest: after `every`, or when that one's cost has become
        MOST_COST of the time. `every` 0: at each step."""
        return since >= every and (not every or since >= self.cost / MOST_COST)

    def look(self) -> None:
        if self._writing and self._writing.done():
            self.wait()

    def wait(self) -> None:
        begun, self._writing = self._writing, None
        if begun:
            begun.result()

    def _write(self, checkpoint: Checkpoint) -> None:
        started = time.thread_time()
        checkpoint.write(self.folder, self.kept)
        self.cost += (time.thread_time() - started) / machine.cores()


def newest(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint; a damaged one is skipped with a warning. None where there is none."""
    for path in reversed(_checkpoints(folder)):
        if is_whole(path):
            return Checkpoint(Progress(**read_json(path / PROGRESS)), load_file(path / STATE))
        log.get("train").warning("checkpoint skipped: damaged or half-written", path=str(path))
    return None


def _checkpoints(folder: Path) -> list[Path]:
    """By their steps, the newest last."""
    found = (path for path in folder.glob("*") if re.fullmatch(r"\d{8,}", path.name))
    return sorted(found, key=lambda path: int(path.name))


def _rows_by_key(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, list[int]]:
    """The entries that are sharded tables or go with their rows: how many rows each process has."""
    rows_of = rows_by_name(model)
    found = {f"{place}.{name}": rows for place in ("model", "extra.best") for name, rows in rows_of.items()}
    names = {id(value): name for name, value in model.named_parameters()}
    parameters = [value for group in optimiser.param_groups for value in group["params"]]
    for index, value in enumerate(parameters):
        if names[id(value)] in rows_of:
            found[f"optimiser.{index}.sum"] = rows_of[names[id(value)]]
    return found


def with_prefix(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries whose names begin so, under the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _restore_moments(optimiser: torch.optim.Optimizer, moments: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in moments.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
