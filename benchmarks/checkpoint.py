"""What a checkpoint costs a training, in processor time: so that a busy machine gives the same answer as a quiet one.

Run as `python -m benchmarks.checkpoint --json`. The training stands still while the state is copied; while a thread
writes the copy it loses the cores' share that the thread takes. Both, divided by the time between two checkpoints, are
the part of the step rate that they cost.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path

import click
import torch
from torch import nn

from bidrec.training.checkpoint import Checkpoint, Progress

DIM = 128


def state(megabytes: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A table and Adam's two moments of it, of that size together."""
    model = nn.EmbeddingBag(megabytes * 2**20 // (3 * 4 * DIM), DIM)
    optimiser = torch.optim.Adam(model.parameters(), fused=True)
    model(torch.arange(8)[None]).sum().backward()
    optimiser.step()
    return model, optimiser


def once(model: nn.Module, optimiser: torch.optim.Optimizer, folder: Path, step: int) -> tuple[float, float]:
    """Processor seconds of the copy, which the training waits for, and of writing."""
    started = time.process_time()
    copied = Checkpoint.of(Progress(step=step), model, optimiser, {})
    between = time.process_time()
    copied.write(folder, kept=2)
    return between - started, time.process_time() - between


@click.command()
@click.option("--megabytes", default=600, help="Size of the state.")
@click.option("--every", default=60.0, help="Seconds between checkpoints.")
@click.option("--rounds", default=5)
@click.option("--json", "as_json", is_flag=True)
def main(megabytes: int, every: float, rounds: int, as_json: bool) -> None:
    model, optimiser = state(megabytes)
    with tempfile.TemporaryDirectory() as folder:
        measured = [once(model, optimiser, Path(folder), step) for step in range(rounds)]
    copy, write = (statistics.median(column) for column in zip(*measured, strict=True))
    cores = torch.get_num_threads()
    found = {
        "state_mb": megabytes,
        "cores": cores,
        "copy_cpu_s": round(copy, 3),
        "write_cpu_s": round(write, 3),
        "cost": round((copy + write / cores) / every, 4),
    }
    print(json.dumps(found) if as_json else "\n".join(f"{name:12} {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
