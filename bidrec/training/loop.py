"""The training loop: steps, learning rate, checkpoints, early stopping; stops and resumes at any step.

Reads   runs/ID/training_set
Writes  runs/ID/checkpoints, which the flow deletes, and runs/ID/model at its end; runs/ID/validated, weights that did
        not see the validation window, where training.refit makes others
"""

import gc
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import record_function

from bidrec.config import Config
from bidrec.errors import InputMissing, Interrupted
from bidrec.operations import log
from bidrec.training import checkpoint, processes, saved
from bidrec.training.axes import fit_axes
from bidrec.training.checkpoint import Progress, Writer
from bidrec.training.diverged import diverged
from bidrec.training.learner import Learner, Named
from bidrec.training.machine import arithmetic, choose_device, keep_freed_memory
from bidrec.training.profile import profiled
from bidrec.training.resident import Resident
from bidrec.training.sharding import numbers, whole_tables
from bidrec.training.validation import validation_recall, warn_of_few
from bidrec.training_set.arrays import TrainingSet

PROGRESS_SECONDS = 1.0
CHANCE = 0.01
"""Validation Recall@100 by which epochs, or seeds, differ without meaning: it is a mean over a thousand notices."""


def train(
    config: Config,
    ts: TrainingSet,
    run: Path,
    stop: Callable[[], bool] = lambda: False,
    *,
    profile: bool = False,
    after_epoch: Callable[[int, float], None] = lambda epoch, recall: None,
) -> dict[str, Any]:
    """Train until the epochs are done or validation stops gaining, then once more on everything before the cutoff.

    Goes on from the newest checkpoint where there is one.

    `stop` is asked after every step; when it says so, a checkpoint is written and Interrupted (75) raised. `profile`
    records some steps in runs/ID/profile. `after_epoch` is told the number and the validation Recall@100 of each epoch
    of the first training, and may end it by raising. Returns what is also in model/manifest.json: the learning curve,
    and the number of epochs chosen. Raises BidrecError (70) where loss or weights are no longer finite, CannotWrite
    (73) where a checkpoint cannot be written.
    """
    device = choose_device(config.training.device)
    folder = run / "checkpoints"
    profile = profile and processes.is_first()
    recorded = profiled(run / "profile", cuda=device.type == "cuda") if profile else nullcontext(lambda: None)
    with arithmetic(config), Writer(folder, config.training.checkpoints_kept) as writer:
        streamed = bool(config.training.stream_notices)
        data = Resident.of(ts, torch.device("cpu") if streamed else device, streamed)
        named = record_function if profile else nullcontext
        with recorded as after_step:
            loop = Loop(config, ts, run, data, device, writer, named, after_step, after_epoch)
            loop.begin()
            if processes.is_first():
                warn_of_few(data, ts.validation_from, ts.cutoff)
            keep_freed_memory()  # not before: what getting ready took and gave back is more than a step takes
            loop.run(stop)
        return loop.finish()


class Loop:
    """Two trainings with the same code: one that chooses the number of epochs on the validation window, then, with
    `training.refit`, one of that many epochs on everything known before the cutoff."""

    def __init__(
        self,
        config: Config,
        ts: TrainingSet,
        run: Path,
        data: Resident,
        device: torch.device,
        writer: Writer,
        named: Named,
        after_step: Callable[[], None],
        after_epoch: Callable[[int, float], None],
    ) -> None:
        self.config, self.ts, self.run_folder, self.data, self.writer = config, ts, run, data, writer
        self.device, self.named, self.after_step, self.after_epoch = device, named, after_step, after_epoch
        self.progress = Progress(epochs=config.training.epochs)
        self.best: dict[str, Tensor] = {}
        self.checkpointed = time.monotonic()
        self.log = log.get("train")

    def _set_up(self) -> None:
        refit = self.progress.refit
        self.learner = Learner(self.config, self.ts, self.data, self.device, refit=refit, named=self.named)

    def begin(self) -> None:
        """Go on from the newest whole checkpoint, where there is one."""
        found = checkpoint.newest(self.run_folder / "checkpoints")
        step = found.progress.step if found else None
        if processes.first(lambda: step) != step:
            raise InputMissing(
                "this process does not see the checkpoint that the first one goes on from",
                hint="all processes need the same home: put it on a volume that they share",
            )
        self.progress = found.progress if found else self.progress
        self._set_up()
        if found:
            self.best = self.learner.restore(found)
            self.log.info("resumed", epoch=self.progress.epoch, step=self.progress.step)

    def run(self, stop: Callable[[], bool]) -> None:
        """All epochs that are left, of both trainings."""
        self._epochs(stop)
        if self.config.training.refit and not self.progress.refit:
            self._start_refit()
            self._epochs(stop)
        self.writer.wait()

    def _epochs(self, stop: Callable[[], bool]) -> None:
        while not self.progress.finished:
            self._epoch(stop)

    def _start_refit(self) -> None:
        done = self.progress
        self._save("validated", self._facts())
        self.progress = Progress(
            refit=True,
            epochs=done.best_epoch + 1,
            best_recall=done.best_recall,
            best_epoch=done.best_epoch,
            curve=done.curve,
            step=done.step,
        )
        self.log.info("training anew on everything before the cutoff", epochs=self.progress.epochs)
        del self.learner
        gc.collect()  # tables may be half of a GPU's memory, and a model in bfloat16 holds on to itself
        self._set_up()

    def finish(self) -> dict[str, Any]:
        """Write the best epoch's weights as the run's model."""
        facts = self._facts()
        self._save("model", facts)
        return facts

    def _save(self, name: str, facts: dict[str, Any]) -> None:
        """Write the best weights, with the axes of what they make of all that they could have learned from."""
        learner = self.learner
        learner.model.load_state_dict(self.best)
        fit_axes(learner.model, self.data, learner.known_before)
        self.best = learner.weights()
        weights = whole_tables(learner.model, self.best)
        if processes.is_first():
            saved.save_model(self.run_folder / name, weights, facts)

    def _facts(self) -> dict[str, Any]:
        return {
            "model": asdict(self.config.model),
            "schema": self.ts.schema,
            "epochs": self.progress.best_epoch + 1,
            "refit": self.progress.refit,
            "curve": list(self.progress.curve),
            "parameters": numbers(self.learner.model),
        }

    def _epoch(self, stop: Callable[[], bool]) -> None:
        self.learner.model.train()
        batches = self.learner.steps.batches(self.progress.epoch)
        if self.progress.batch == 0:
            self.learner.start_epoch()
        started, first, shown = time.monotonic(), self.progress.batch, time.monotonic()
        while self.progress.batch < batches:
            self.learner.step(self.progress, batches)
            self.after_step()
            if self.learner.watch.due:
                self._look(weights=False)
            if time.monotonic() - shown > PROGRESS_SECONDS:
                shown = time.monotonic()
                self._show(batches, (self.progress.batch - first) / (shown - started))
            stopped, due = processes.agreed(stop(), self._checkpoint_due())
            if stopped or due:
                self._look(weights=True)
                self._checkpoint()
            if stopped:
                processes.first(self.writer.wait)
                raise Interrupted(
                    f"stopped at step {self.progress.step}; the state is saved",
                    hint="run the same command again to resume",
                )
            self.writer.look()
        self._look(weights=True)
        self._close_epoch(batches, (self.progress.batch - first) / max(1e-9, time.monotonic() - started))

    def _look(self, *, weights: bool) -> None:
        """Raise BidrecError (70) where a step since the last look had a loss that is not finite. With `weights`, asked
        before any are kept, also where one is not: so no checkpoint has it."""
        wrong = self.learner.look(weights=weights)
        if wrong:
            rows_of = "pair" if self.config.model.kind == "static" else "notice"
            raise diverged(wrong, self.progress, self.learner.steps, rows_of, self.run_folder)

    def _close_epoch(self, batches: int, rate: float) -> None:
        progress, learner = self.progress, self.learner
        entry = {
            "epoch": progress.epoch,
            "loss": learner.watch.loss_sum.item() / max(1, batches),
            "gradient_norm": learner.watch.largest_norm.item(),
            "learning_rate": learner.optimiser.param_groups[0]["lr"],
            "temperature": 1 / learner.model.scale.item(),
        }
        if rate:  # not where the training was stopped after the epoch's last step
            entry["steps_per_second"] = rate
        if progress.refit:
            self.best = learner.weights()
        else:
            # In all processes: no one has all rows of a sharded table.
            own = validation_recall(learner.model, self.data, self.ts.validation_from, self.ts.cutoff)
            recall = processes.first(lambda: own)
            entry["validation_recall@100"] = recall
            self._judge(recall)
            self.after_epoch(progress.epoch, recall)
        progress.curve.append(entry)
        told = {name: round(value, 4) for name, value in entry.items()} | {"epoch": progress.epoch + 1}
        self.log.info("epoch", refit=progress.refit, **told)
        progress.epoch, progress.batch = progress.epoch + 1, 0
        out_of_patience = progress.epochs_without_gain >= self.config.training.patience
        progress.finished = out_of_patience or progress.epoch >= progress.epochs
        (due,) = processes.agreed(self._checkpoint_due())  # a short epoch's end alone is not worth what one costs
        if due:
            self._checkpoint()

    def _judge(self, recall: float) -> None:
        """Keep the epoch's weights where validation gained, or lost no more than chance does: the later epoch learned
        at a lower rate. A window without bids (NaN) never gains."""
        progress = self.progress
        if recall > progress.best_recall:
            progress.best_recall, progress.epochs_without_gain = recall, 0
        else:
            progress.epochs_without_gain += 1
        if recall >= progress.best_recall - CHANCE or not self.best:
            progress.best_epoch = progress.epoch
            self.best = self.learner.weights()

    def _checkpoint_due(self) -> bool:
        """The first process says so: it writes them."""
        since = time.monotonic() - self.checkpointed
        return processes.is_first() and self.writer.due(since, self.config.training.checkpoint_seconds)

    def _checkpoint(self) -> None:
        started = time.monotonic()
        found = self.learner.checkpoint(self.progress, self.best)
        if processes.is_first():
            self.writer.write(found, time.monotonic() - started)
        self.checkpointed = time.monotonic()

    def _show(self, batches: int, rate: float) -> None:
        done, total = self.progress.epoch * batches + self.progress.batch, batches * self.progress.epochs
        self.log.info(
            "training anew" if self.progress.refit else "training",
            epoch=f"{self.progress.epoch + 1}/{self.progress.epochs}",
            step=f"{done}/{total}",
            loss=round(self.learner.watch.loss_sum.item() / max(1, self.progress.batch), 4),
            gradient_norm=round(self.learner.watch.norm.item(), 4),
            learning_rate=float(f"{self.learner.optimiser.param_groups[0]['lr']:.3g}"),
            steps_per_second=round(rate, 1),
            minutes_left=round((total - done) / max(rate, 1e-9) / 60, 2),
        )
