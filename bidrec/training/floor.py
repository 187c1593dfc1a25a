"""The floor under a training's speed: its own step where the batch lies ready, timed when all other steps are done.

Reads   what the loop still has in memory
Changes the weights and the optimiser it is given, which nobody needs any more: the best weights were copied before
"""

import time
from typing import Any

import torch

from bidrec.model.two_tower import TwoTower
from bidrec.training import graphs
from bidrec.training.optimiser import Optimiser
from bidrec.training.steps import Steps

SECONDS = 0.3
"""Time after which no further batch is begun."""
BATCHES, REPEATS = 6, 3
"""Batches, at most, and steps over each: they differ in size, as an epoch's do. The quickest of a batch's counts, since
what else runs on the machine only ever adds."""


def steps_per_second(model: TwoTower, optimiser: Optimiser, steps: Steps, batches: int, device: torch.device) -> float:
    """Forward, backward and optimiser over the first of so many batches, which are gathered before the clock starts.

    No gathering, log, checkpoint or look at the loss is in it. The random numbers of the process stay where they were.
    """
    model.train()
    quickest: list[float] = []
    begun = time.monotonic()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for at in range(min(BATCHES, batches)):
            if quickest and time.monotonic() - begun > SECONDS:
                break
            gathered = steps.gathered(at)
            quickest.append(min(_step(model, optimiser, steps, gathered, device) for _ in range(REPEATS)))
    return len(quickest) / sum(quickest)


def _step(model: TwoTower, optimiser: Optimiser, steps: Steps, gathered: Any, device: torch.device) -> float:
    """Seconds of one step, until the device has done it."""
    _wait_for(device)
    started = time.perf_counter()
    graphs.start_step(optimiser.settings)
    optimiser.zero_grad(set_to_none=True)
    steps.learn(model, gathered).backward()
    optimiser.step()
    _wait_for(device)
    return time.perf_counter() - started


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
