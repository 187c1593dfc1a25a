"""What benchmarks/training.py runs, each contender in a process of its own: the seed's loops, TorchRec's, and bidrec's.

python -m benchmarks.training_contenders NAME FOLDER JSON   (the folder of a training set; the settings)
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import jobs  # noqa: F401  first: imports cost what they cost bidrec's own commands
from benchmarks import training_ours as ours
from benchmarks import training_seed as seed
from benchmarks.process import peak_mib
from benchmarks.training_clock import Clock, gpu_busy
from benchmarks.training_recipes import SEED_MODEL, SEED_RECIPE, configuration
from bidrec.model.rows import RowBatch, moved
from bidrec.model.two_tower import build
from bidrec.training.machine import choose_device
from bidrec.training.optimiser import optimiser_for
from bidrec.training.pair_batches import PairBatch
from bidrec.training.pair_steps import PairSteps
from bidrec.training.resident import Resident
from bidrec.training_set.arrays import TrainingSet

WARM_UP = 10
RECIPE = {"learning_rate": SEED_RECIPE.learning_rate, "weight_decay": SEED_RECIPE.weight_decay}


def main() -> None:
    name, folder, given = sys.argv[1:]
    settings = json.loads(given)
    torch.set_flush_denormal(True)
    found = CONTENDERS[name.split(":")[0]](TrainingSet.open(Path(folder)), name.split(":")[-1], settings)
    print(json.dumps({"peak_mib": peak_mib()} | found))


def timed(next_batch: Callable[[], Any], step: Callable[[Any], Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Steps a second over `seconds`, and the share of that time in which a step ran and did not wait for its batch."""
    clock = Clock(device_of(settings))
    for _ in range(WARM_UP):
        step(next_batch())
    clock.wait()
    inside, steps, started, cpu = 0.0, 0, time.perf_counter(), time.process_time()
    with gpu_busy(clock.device) as busy:
        while not steps or (steps < settings["most"] and time.perf_counter() - started < settings["seconds"]):
            batch = next_batch()
            at = time.perf_counter()
            step(batch)
            inside += time.perf_counter() - at
            steps += 1
        clock.wait()
        wall = time.perf_counter() - started
    return {"it_s": steps / wall, "pairs_s": steps / wall * settings["batch"], "busy": inside / wall} | {
        "cpu_ms": (time.process_time() - cpu) / steps * 1e3,
        **busy,
    }


def device_of(settings: dict[str, Any]) -> torch.device:
    return choose_device(settings.get("device", "auto"))


def seed_loop(ts: TrainingSet, loop: str, settings: dict[str, Any]) -> dict[str, Any]:
    step = seed.PlainStep(ts, SEED_MODEL, device_of(settings), **RECIPE)
    source = _source(ts, loop, settings)
    return timed(lambda: next(source), step, settings)


def resident(ts: TrainingSet, _: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The seed's step without a loader: over one batch."""
    step = seed.PlainStep(ts, SEED_MODEL, device_of(settings), **RECIPE)
    batch = step.moved(next(_source(ts, "collate", settings)))
    return timed(lambda: batch, step, settings)


def behind(ts: TrainingSet, loop: str, settings: dict[str, Any]) -> dict[str, Any]:
    """bidrec's step behind one of the seed's loaders, so that loader and step can be told apart."""
    config, device = configuration("static", batch_size=settings["batch"]), device_of(settings)
    model = build(config.model, ts.schema).train().to(device)
    optimiser = optimiser_for(model, config.training)
    steps = PairSteps(config, Resident.of(ts, device), ts.cutoff, device)
    source = _source(ts, loop, settings)

    def step(batch: seed.Batch) -> None:
        loss = steps.learn(model, moved(as_pairs(ts, batch), lambda tensor: tensor.to(device, non_blocking=True)))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        loss.item()

    return timed(lambda: next(source), step, settings)


def as_pairs(ts: TrainingSet, batch: seed.Batch) -> PairBatch:
    """A collated batch as bidrec's step reads it, no row shared."""
    every = torch.arange(len(batch["notice_dense"]))
    rows = {
        "notice": _rows(ts.schema["notice"], "notice", batch),
        "company": _rows(ts.schema["profile"], "company", batch),
    }
    return PairBatch(every, every, **rows, notice_of_P=every, company_of_P=every, log_count_V=torch.zeros(len(every)))


def _rows(schema: dict[str, Any], name: str, batch: seed.Batch) -> RowBatch:
    ids = torch.stack([batch[f"{name}_{field['name']}"] + field["base"] for field in schema["attributes"]], dim=1)
    none: Tensor = torch.zeros(0)
    return RowBatch(
        dense_BF=batch[f"{name}_dense"],
        ages_days_BT=torch.zeros(len(ids), 0),
        attributes=ids.flatten(),
        attribute_lengths_BA=torch.ones_like(ids),
        text=none.long(),
        text_weights=none,
        text_lengths_B=torch.zeros(len(ids), dtype=torch.int64),
        single=True,
    )


def torchrec(ts: TrainingSet, which: str, settings: dict[str, Any]) -> dict[str, Any]:
    from benchmarks import training_torchrec

    source, device = training_torchrec.batches(ts, settings["batch"]), device_of(settings)
    try:
        pipeline = getattr(training_torchrec, which)(ts, SEED_MODEL, device, **RECIPE)
        return timed(lambda: source, pipeline.progress, settings) | {"busy": None}  # it asks for its batches inside
    except Exception as error:  # whatever it is that it lacks here is the finding
        return {"remark": f"does not run on {device.type}: {type(error).__name__}: {str(error).splitlines()[0][:90]}"}


def pipeline(ts: TrainingSet, kind: str, settings: dict[str, Any]) -> dict[str, Any]:
    """bidrec's training as it is, the floor measured in between."""
    config = configuration(kind, device=device_of(settings).type, **settings.get("recipe", {}))
    return ours.measure(ts, config, settings["steps"], ours.steps_of_an_epoch(ts, config))


def quality(ts: TrainingSet, _: str, settings: dict[str, Any]) -> dict[str, Any]:
    """How what is trained that way ranks."""
    return ours.recall(ts, configuration("static", device=device_of(settings).type, **settings["recipe"]))


def _source(ts: TrainingSet, loop: str, settings: dict[str, Any]) -> Iterator[seed.Batch]:
    pairs = seed.Pairs(ts)
    return seed.LOOPS[loop](pairs, seed.random_batches(len(pairs), settings["batch"]))


CONTENDERS: dict[str, Callable[[TrainingSet, str, dict[str, Any]], dict[str, Any]]] = {
    "seed": seed_loop,
    "resident": resident,
    "behind": behind,
    "torchrec": torchrec,
    "pipeline": pipeline,
    "quality": quality,
}


if __name__ == "__main__":
    main()
