"""bidrec's own training, measured from outside: `bidrec.training.loop.train` as it is, its steps timed one by one.

Every so many steps the floor is measured in between: the same step of the same model over one batch that is gathered
already, with no loader, log or checkpoint. So both see the same machine at the same time.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import cycle, repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.training_clock import Clock, gpu_busy, stolen
from bidrec.config import Config
from bidrec.errors import Interrupted
from bidrec.model.two_tower import TwoTower, build
from bidrec.training.loop import train
from bidrec.training.machine import arithmetic, choose_device, fit_to
from bidrec.training.optimiser import optimiser_for
from bidrec.training.resident import Resident
from bidrec.training.steps import steps_for
from bidrec.training_set.arrays import TrainingSet

CHUNK = 1_000


def between(config: Config) -> tuple[int, int]:
    """After how many steps the floor is measured, and for how many: the larger they are, the fewer."""
    if config.model.kind == "history":
        return 4, 2
    many = max(1, 2_560 // config.training.batch_size)
    return 10 * many, many


class Floor:
    """The step over one resident batch. That of the default model gathers: which histories and notices a stretch reads,
    and which of them pass gradients, is drawn anew in each step and part of it. Its stretches differ in size, so it
    goes through an epoch's as the training does."""

    def __init__(self, config: Config, ts: TrainingSet) -> None:
        device, streamed = choose_device(config.training.device), bool(config.training.stream_notices)
        data = Resident.of(ts, torch.device("cpu") if streamed else device, streamed)
        self.model: TwoTower = fit_to(build(config.model, ts.schema), config.training, device).train()
        self.optimiser = optimiser_for(self.model, config.training)
        self.steps = steps_for(config, data, ts.validation_from, device)
        batches = self.steps.batches(0)
        self.steps.start_epoch(self.model)
        if config.model.kind == "static":
            self.batches: Iterator[Any] = repeat(self.steps.gathered(batches // 2))
        else:
            self.batches = map(self.steps.gathered, cycle(range(batches)))
        self.optimiser.set_share(0.0)  # the weights stay where they are: nothing is learned from one batch

    def step(self) -> None:
        """Not waited for where a GPU computes it, as the training does not wait for its steps either."""
        self.optimiser.zero_grad(set_to_none=True)
        self.steps.learn(self.model, next(self.batches)).backward()
        self.optimiser.step()


@dataclass
class Watch:
    """Handed to `train` as its `stop`: called after each step, it takes the time and, now and then, the floor's."""

    steps: int
    clock: Clock
    floor: Callable[[], None] | None = None
    every: int = 1
    floor_steps: int = 1
    step_marks: list[tuple[Any, Any]] = field(default_factory=list)
    floor_marks: list[tuple[Any, Any]] = field(default_factory=list)
    stolen: list[int] = field(default_factory=list)
    """Of each step, the ticks that the machine's host took."""
    busy: dict[str, float] = field(default_factory=dict)
    """What gpu_busy says of the time from the first step to the last: a GPU waits while a training is set up."""
    asking: ExitStack = field(default_factory=ExitStack)
    threads: int = 1
    cpu: float = 0.0
    floor_cpu: float = 0.0
    _left: Any = None
    """The mark after the step before; the first one is the start's."""
    _left_cpu: float = 0.0
    _left_stolen: int = 0

    def __call__(self) -> bool:
        now, now_cpu = self.clock.mark(), time.process_time()
        if self._left is None:
            self.threads = torch.get_num_threads()
            self.busy = self.asking.enter_context(gpu_busy(self.clock.device))
        else:
            self.step_marks.append((self._left, now))
            self.stolen.append(stolen() - self._left_stolen)
            self.cpu += now_cpu - self._left_cpu
        if self.floor and len(self.step_marks) % self.every == 0:
            self._measure_floor(self.floor)
        self._left_stolen = stolen()
        self._left, self._left_cpu = self.clock.mark(), time.process_time()
        enough = len(self.step_marks) >= self.steps
        if enough:
            self.asking.close()
        return enough

    def _measure_floor(self, step: Callable[[], None]) -> None:
        for _ in range(self.floor_steps):
            stolen()  # as before each of the training's steps: what it takes of the caches is theirs to pay
            begun, begun_cpu = self.clock.mark(), time.process_time()
            step()
            self.floor_marks.append((begun, self.clock.mark()))
            self.floor_cpu += time.process_time() - begun_cpu

    def seconds(self, marks: list[tuple[Any, Any]]) -> np.ndarray:
        return np.array([self.clock.seconds(*pair) for pair in marks])


def measure(ts: TrainingSet, config: Config, steps: int, epoch_steps: int) -> dict[str, Any]:
    """Train `steps` steps. An epoch has `epoch_steps`; what lies between two of them is told apart."""
    with arithmetic(config):  # as in the training, or layers that are compiled would be so anew there
        floor = Floor(config, ts)
        for _ in range(5):
            floor.step()
    clock, (every, floor_steps) = Clock(choose_device(config.training.device)), between(config)
    # Of each epoch, however short, the floor is measured.
    watch = run(ts, config, Watch(steps, clock, floor.step, min(every, epoch_steps), floor_steps))
    return summary(watch, epoch_steps, learned_pairs(ts) / epoch_steps) | watch.busy


def learned_pairs(ts: TrainingSet) -> int:
    """Bids that an epoch learns from: known before the validation window, by companies known at the time."""
    return int(((ts.pair_known_at < ts.validation_from) & (ts.pair_version >= 0)).sum())


def run(ts: TrainingSet, config: Config, watch: Watch) -> Watch:
    """`train`, until the watch has seen enough."""
    with tempfile.TemporaryDirectory(prefix="bidrec-training-") as folder, suppress(Interrupted), watch.asking:
        train(config, ts, Path(folder), watch)
    return watch


def recall(ts: TrainingSet, config: Config) -> dict[str, Any]:
    """Of training to its end: the validation Recall@100 of each epoch, and the CPU time of all of them, in seconds."""
    started = time.process_time()
    with tempfile.TemporaryDirectory(prefix="bidrec-training-") as folder:
        facts = train(config, ts, Path(folder))
    recalls = [entry["validation_recall@100"] for entry in facts["curve"]]
    return {"recall": recalls, "best_recall": max(recalls), "cpu_s": time.process_time() - started}


def steps_of_an_epoch(ts: TrainingSet, config: Config) -> int:
    data = Resident.of(ts, torch.device("cpu"), bool(config.training.stream_notices))
    return steps_for(config, data, ts.validation_from, data.device).batches(0)


def summary(watch: Watch, epoch_steps: int, pairs: float) -> dict[str, Any]:
    """Rates of steps of so many pairs on average, the ratio to the floor of each chunk and each epoch, and the tail of
    the steps' times."""
    seconds = watch.seconds(watch.step_marks)
    number = np.arange(1, len(seconds) + 1)  # the first step of all is the start's
    border = number % epoch_steps == 0
    number, inside = number[~border], seconds[~border]
    median, undisturbed = float(np.median(inside)), inside[np.array(watch.stolen)[~border] == 0]
    found: dict[str, Any] = {
        "it_s": len(inside) / inside.sum(),
        "pairs_s": len(inside) / inside.sum() * pairs,
        "busy": watch.cpu / seconds.sum() / watch.threads,
        "cpu_ms": watch.cpu / len(seconds) * 1e3,
        "p50_ms": median * 1e3,
        "p99_over_median": float(np.percentile(inside, 99)) / median,
        "max_over_median": float(inside.max()) / median,
        "over_3_medians": int((inside > 3 * median).sum()),
        "undisturbed_max_over_median": float(undisturbed.max(initial=0.0)) / median,
        "undisturbed_over_3_medians": int((undisturbed > 3 * median).sum()),
        "between_epochs_s": [round(float(s), 2) for s in seconds[border]],
    }
    if watch.floor_marks:
        floors = watch.seconds(watch.floor_marks)
        floor_at = np.repeat(np.arange(len(floors) // watch.floor_steps) * watch.every, watch.floor_steps)
        found["floor_it_s"] = 1 / float(floors.mean())
        found["floor_max_over_median"] = float(floors.max() / np.median(floors))  # which is the machine's doing
        found["over_floor"] = float(floors.mean() / inside.mean())
        found["cpu_over_floor"] = watch.floor_cpu / len(floors) / (watch.cpu / len(seconds))
        for name, length in (("chunks_over_floor", CHUNK), ("epochs_over_floor", epoch_steps)):
            whole = range(0, max(1, len(seconds) - length + 1), length)
            found[name] = [
                float(
                    np.median(_between(floors, floor_at, at, length)) / np.median(_between(inside, number, at, length))
                )
                for at in whole
            ]
    return found


def _between(values: np.ndarray, place: np.ndarray, begin: int, length: int) -> np.ndarray:
    """Those whose place lies in [begin, begin + length)."""
    return values[(place[: len(values)] >= begin) & (place[: len(values)] < begin + length)]
