"""What learns in one training: a model, its optimiser and its order of steps; what a step does, what is kept of it.

Serves  the loop, which says when
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from bidrec.config import Config
from bidrec.model.two_tower import TwoTower, build
from bidrec.training import distributed, processes
from bidrec.training.checkpoint import Checkpoint, Progress, with_prefix
from bidrec.training.data_parallel import data_parallel
from bidrec.training.machine import fit_to
from bidrec.training.optimiser import optimiser_for, rate_share
from bidrec.training.resident import Resident
from bidrec.training.sharding import shard_tables
from bidrec.training.steps import Steps, steps_for
from bidrec.training.watch import NotFinite, Watch, finite
from bidrec.training_set.arrays import TrainingSet

Named = Callable[[str], AbstractContextManager[Any]]
"""A part of a step, for a profile; without one it costs nothing."""


class Learner:
    """Begins anew, from the seed. With `refit` it learns from all that is known before the cutoff, otherwise from what
    was known before the validation window."""

    def __init__(
        self, config: Config, ts: TrainingSet, data: Resident, device: torch.device, *, refit: bool, named: Named
    ) -> None:
        self.settings, self.named = config.training, named
        torch.manual_seed(self.settings.seed)
        model = build(config.model, ts.schema)
        shard_tables(model, self.settings.shard_tables_above_mb, device)
        self.model: TwoTower = fit_to(model, self.settings, device)
        self.known_before = ts.cutoff if refit else ts.validation_from
        """Epoch seconds (UTC): the bids learned from were known before."""
        self.steps: Steps = steps_for(config, data, self.known_before, device)
        self.optimiser = optimiser_for(self.model, self.settings)
        self.learn = data_parallel(self.model, self.steps.learn)
        self.watch = Watch(device, self.settings.clip_norm)

    def start_epoch(self) -> None:
        """After `steps.batches` of the epoch, whose first step is the next."""
        self.watch.start_epoch()
        self.steps.start_epoch(self.model)

    def step(self, progress: Progress, batches: int) -> None:
        """Learn from the epoch's next batch, of so many; `progress` is then one step further."""
        at, done = progress.batch, progress.epoch * batches + progress.batch
        with self.named("step"):
            distributed.start_step(self.settings.seed, progress.step)
            self.optimiser.set_share(rate_share(done, progress.epochs * batches, self.settings.warmup_share))
            self.optimiser.zero_grad(set_to_none=True)
            with self.named("gather"):
                gathered = self.steps.gathered(at)
            with self.named("forward"):
                loss = self.learn(gathered)
            with self.named("backward"):
                loss.backward()
            with self.named("optimiser"):
                self.watch.gradients(self.model.parameters(), progress.step, first=at == 0)
                self.optimiser.step()
            self.watch.loss(distributed.total(loss))
        progress.batch += 1
        progress.step += 1

    def look(self, *, weights: bool) -> NotFinite | None:
        """The first step since the last look whose loss is not finite. With `weights` also the newest step where a
        weight is not, for a step's loss does not tell what its gradients did; of many processes every one must ask."""
        wrong = self.watch.look()
        if wrong or not weights:
            return wrong
        (spoilt,) = processes.agreed(not finite(self.model.parameters()))  # each has its own rows of a sharded table
        return NotFinite(1, "a weight is not finite") if spoilt else None

    def weights(self) -> dict[str, Tensor]:
        """A copy."""
        return {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def checkpoint(self, progress: Progress, best: dict[str, Tensor]) -> Checkpoint:
        """All of it, and the best weights so far. Of many processes every one must call it."""
        parts = {"best": best, "watch": self.watch.state(), "steps": self.steps.state()}
        extra = {f"{part}.{name}": value for part, state in parts.items() for name, value in state.items()}
        return Checkpoint.of(progress, self.model, self.optimiser, extra)

    def restore(self, found: Checkpoint) -> dict[str, Tensor]:
        """Go on from there; returns the best weights so far."""
        extra = found.restore(self.model, self.optimiser)
        self.watch.restore(with_prefix(extra, "watch."))
        self.steps.restore(with_prefix(extra, "steps."))
        return with_prefix(extra, "best.")
