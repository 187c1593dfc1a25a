"""What checkpoints cost: the step rate with one every few seconds, beside the step rate without.

Run as `python -m benchmarks.checkpoint --json`. The state is of about --megabytes; the training is real (Adam over two
towers' tables), the steps are those of one resident batch. Runs alternate, and the median of each kind is compared.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path

import click
import torch
from torch import Tensor, nn

from bidrec.training.checkpoint import Checkpoint, Progress, Writer


class Toy(nn.Module):
    """A table and two layers: a step costs tens of milliseconds, as the towers' does."""

    def __init__(self, rows: int, dim: int) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(rows, dim, mode="sum")
        self.layers = nn.Sequential(nn.Linear(dim, 512), nn.ReLU(), nn.Linear(512, dim))

    def forward(self, ids_BF: Tensor) -> Tensor:
        return self.layers(self.table(ids_BF)).square().mean()


def rate(model: Toy, optimiser: torch.optim.Optimizer, seconds: float, every: float, writer: Writer | None) -> float:
    """Steps a second over `seconds`, a checkpoint every `every` seconds where there is a writer."""
    batch = torch.randint(model.table.num_embeddings, (2048, 16))
    started = written = time.monotonic()
    steps = 0
    while time.monotonic() - started < seconds:
        optimiser.zero_grad()
        model(batch).backward()
        optimiser.step()
        steps += 1
        if writer and time.monotonic() - written > every:
            writer.write(Checkpoint.of(Progress(step=steps), model, optimiser, {}))
            written = time.monotonic()
        if writer:
            writer.look()
    return steps / (time.monotonic() - started)


@click.command()
@click.option("--megabytes", default=200, help="Size of the state: the weights and Adam's two moments.")
@click.option("--every", default=60.0, help="Seconds between checkpoints.")
@click.option("--seconds", default=130.0, help="Seconds of each measurement.")
@click.option("--rounds", default=3)
@click.option("--json", "as_json", is_flag=True)
def main(megabytes: int, every: float, seconds: float, rounds: int, as_json: bool) -> None:
    dim = 128
    model = Toy(megabytes * 2**20 // (3 * 4 * dim), dim)
    optimiser = torch.optim.Adam(model.parameters(), fused=True)
    rates: dict[str, list[float]] = {"without": [], "with": []}
    with tempfile.TemporaryDirectory() as folder, Writer(Path(folder), kept=2) as writer:
        rate(model, optimiser, 5, every, None)  # the moments come into being
        for _ in range(rounds):
            rates["without"].append(rate(model, optimiser, seconds, every, None))
            rates["with"].append(rate(model, optimiser, seconds, every, writer))
            writer.wait()
    median = {kind: statistics.median(found) for kind, found in rates.items()}
    found = {
        "state_mb": megabytes,
        "checkpoint_every_s": every,
        "steps_per_second_without": round(median["without"], 2),
        "steps_per_second_with": round(median["with"], 2),
        "cost": round(1 - median["with"] / median["without"], 4),
    }
    print(json.dumps(found) if as_json else "\n".join(f"{name:26} {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
