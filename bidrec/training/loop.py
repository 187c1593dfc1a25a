"""The training loop: steps, learning rate, checkpoints, early stopping; stops and resumes at any step.

Reads   runs/ID/training_set
Writes  runs/ID/checkpoints while it runs, runs/ID/model at its end
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bidrec import log
from bidrec.config import Config, Model
from bidrec.errors import BidrecError, DependencyDown, Interrupted
from bidrec.model.two_tower import TwoTower, build
from bidrec.training import checkpoint
from bidrec.training.checkpoint import Progress
from bidrec.training.resident import Resident
from bidrec.training.steps import Steps, steps_for
from bidrec.training.validation import validation_recall
from bidrec.training_set.load import TrainingSet

PROGRESS_SECONDS = 5.0


def choose_device(wanted: str) -> torch.device:
    """`auto` takes a GPU where there is one. Raises DependencyDown (69) for a GPU that is not there."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise DependencyDown("training.device is 'cuda' and no GPU is here", hint="use 'auto' or 'cpu'")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def train(config: Config, ts: TrainingSet, run: Path, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    """Train until the epochs are done or validation stops gaining, from the newest checkpoint where there is one.

    `stop` is asked after every step; when it says so, a checkpoint is written and Interrupted (75) raised.
    Returns what is also in model/manifest.json: the learning curve and the epoch whose weights were kept.
    """
    torch.set_flush_denormal(True)  # late in training, tiny moments would slow a CPU step several times
    device = choose_device(config.training.device)
    torch.manual_seed(config.training.seed)
    data = Resident.of(ts, device)
    model = build(config.model, ts.schema).to(device)
    loop = Loop(config, ts, run, model, data)
    loop.resume()
    loop.run(stop)
    return loop.finish()


class Loop:
    def __init__(self, config: Config, ts: TrainingSet, run: Path, model: TwoTower, data: Resident) -> None:
        self.config, self.ts, self.run_folder, self.model, self.data = config, ts, run, model, data
        self.steps: Steps = steps_for(config, data, ts.fit_before)
        self.optimiser = torch.optim.Adam(
            [parameter for parameter in model.parameters() if parameter.requires_grad],
            lr=config.training.learning_rate,
            weight_decay=config.training.weight_decay,
        )
        self.progress = Progress()
        self.best: dict[str, Tensor] = {}
        self.loss_sum = 0.0
        self.checkpointed = time.monotonic()
        self.log = log.get("train")

    def resume(self) -> None:
        """Go on from the newest whole checkpoint."""
        found = checkpoint.restore(self.run_folder / "checkpoints", self.model, self.optimiser)
        if found is None:
            return
        self.progress, extra = found
        self.loss_sum = float(extra.pop("loss_sum"))
        self.best = {name.removeprefix("best."): value for name, value in extra.items() if name.startswith("best.")}
        self.steps.restore({name: value for name, value in extra.items() if not name.startswith("best.")})
        self.log.info("resumed", epoch=self.progress.epoch, step=self.progress.step)

    def run(self, stop: Callable[[], bool]) -> None:
        """All epochs that are left."""
        while not self.progress.finished and self.progress.epoch < self.config.training.epochs:
            self._epoch(stop)

    def finish(self) -> dict[str, Any]:
        """Write the best epoch's weights as the run's model."""
        facts = {
            "model": asdict(self.config.model),
            "schema": self.ts.schema,
            "epoch": self.progress.best_epoch,
            "curve": self.progress.curve,
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
        }
        self.model.load_state_dict(self.best)
        checkpoint.save_model(self.run_folder / "model", self.best, facts)
        return facts

    def _epoch(self, stop: Callable[[], bool]) -> None:
        self.model.train()
        batches = self.steps.batches(self.progress.epoch)
        total = len(batches) * self.config.training.epochs
        if self.progress.batch == 0:
            self.loss_sum = 0.0
            self.steps.start_epoch(self.model)
        started, first, shown = time.monotonic(), self.progress.batch, time.monotonic()
        for batch in batches[first:]:
            self._step(batch, total)
            if time.monotonic() - shown > PROGRESS_SECONDS:
                shown = time.monotonic()
                self._show(len(batches), total, (self.progress.batch - first) / (shown - started))
            if stop():
                self._checkpoint()
                raise Interrupted(
                    f"stopped at step {self.progress.step} of {total}; the state is saved",
                    hint="run the same command again to go on",
                )
            if time.monotonic() - self.checkpointed > self.config.training.checkpoint_seconds:
                self._checkpoint()
        self._close_epoch(len(batches), (self.progress.batch - first) / max(1e-9, time.monotonic() - started))

    def _step(self, batch: Tensor, total: int) -> None:
        rate = self.config.training.learning_rate * rate_share(
            self.progress.step, total, self.config.training.warmup_share
        )
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        loss = self.steps.loss(self.model, batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        value = loss.item()
        if not math.isfinite(value):
            raise BidrecError(
                f"the loss is {value} at step {self.progress.step}; the last checkpoint is kept",
                hint="lower training.learning_rate",
            )
        self.loss_sum += value
        self.progress.batch += 1
        self.progress.step += 1

    def _close_epoch(self, batches: int, rate: float) -> None:
        progress, patience = self.progress, self.config.training.patience
        recall = validation_recall(self.model, self.data, self.ts.fit_before, self.ts.cutoff)
        entry = {
            "epoch": progress.epoch,
            "loss": self.loss_sum / max(1, batches),
            "validation_recall@100": recall,
            "temperature": 1 / self.model.scale.item(),
            "steps_per_second": rate,
        }
        progress.curve.append(entry)
        self.log.info("epoch", **{name: round(value, 4) for name, value in entry.items()})
        if recall > progress.best_recall or not self.best:
            progress.best_recall, progress.best_epoch, progress.epochs_without_gain = recall, progress.epoch, 0
            self.best = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        else:
            progress.epochs_without_gain += 1
        progress.epoch, progress.batch = progress.epoch + 1, 0
        progress.finished = progress.epochs_without_gain >= patience
        self._checkpoint()

    def _checkpoint(self) -> None:
        extra = {f"best.{name}": value for name, value in self.best.items()}
        extra |= self.steps.state() | {"loss_sum": torch.tensor(self.loss_sum, dtype=torch.float64)}
        checkpoint.save(self.run_folder / "checkpoints", self.progress, self.model, self.optimiser, extra)
        self.checkpointed = time.monotonic()

    def _show(self, batches: int, total: int, rate: float) -> None:
        self.log.info(
            "training",
            epoch=f"{self.progress.epoch + 1}/{self.config.training.epochs}",
            step=f"{self.progress.step}/{total}",
            loss=round(self.loss_sum / max(1, self.progress.batch), 4),
            steps_per_second=round(rate, 1),
            minutes_left=round((total - self.progress.step) / max(rate, 1e-9) / 60, 1),
        )


def rate_share(step: int, total: int, warmup_share: float) -> float:
    """Linear warm-up, then linear decay to zero; the share of the configured learning rate at `step` (from 0)."""
    warmup = max(1, round(total * warmup_share))
    return min((step + 1) / warmup, max(0.0, (total - step) / max(1, total - warmup)))


def load_model(schema: dict[str, Any], folder: Path) -> TwoTower:
    """The trained model of a run (`folder` is runs/ID/model), on the CPU, without dropout.

    `schema` is its training set's. Raises ContractError (65) where the weights are damaged or do not fit it.
    """
    settings = checkpoint.model_settings(folder)
    model = build(Model(**settings | {name: tuple(settings[name]) for name in ("hidden", "half_lives")}), schema)
    checkpoint.load_weights(folder, model)
    return model.eval()
