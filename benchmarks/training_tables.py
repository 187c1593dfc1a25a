"""What a step costs an embedding table as the vocabulary grows: rows that learn in the backward pass, and dense Adam.

    python -m benchmarks.training_tables [--rows 100000 1000000 10000000] [--ids 2560] [--json]

Milliseconds (median) of one lookup, backward pass and update of a (rows, 32) table by a batch's ids, skewed as ids are:
fused (row-wise Adagrad in fbgemm's kernel), plain (the same in plain torch: where fbgemm is missing), sparse_adam (Adam
on the rows read, in plain torch), adam (torch's fused dense Adam).
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from bidrec.model.row_rules import new_state
from bidrec.model.tables import FusedRows, PlainRows, Rate, Table

DIM, STEPS, WARM_UP = 32, 60, 5
DENSE_STEPS = 5
"""Of dense Adam, whose steps are long."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--ids", type=int, default=2_560, help="looked up in a step: 256 rows of 10 fields")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    found = {name: {rows: cost(name, rows, options.ids) for rows in options.rows} for name in UPDATES}
    print(json.dumps(found) if options.json else table(found))


def cost(name: str, rows: int, ids: int) -> float:
    lookup, step = UPDATES[name](rows)
    gradient, offsets = torch.randn(ids, DIM), torch.arange(ids + 1)
    seconds = []
    for _ in range(WARM_UP + (DENSE_STEPS if name == "adam" else STEPS)):
        batch = (torch.rand(ids) ** 3 * rows).long()
        started = time.perf_counter()
        lookup(batch, offsets, None).backward(gradient)
        step()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[WARM_UP:]) * 1e3


Update = tuple[Callable[[Tensor, Tensor, Tensor | None], Tensor], Callable[[], object]]


def _fused(rows: int) -> Update:
    return FusedRows(torch.zeros(rows, DIM), torch.zeros(rows), Rate(0.01)), lambda: None


def _plain(rule: str, rows: int) -> Update:
    weight = torch.zeros(rows, DIM)
    return PlainRows(rule, weight, new_state(rule, weight), Rate(0.01)), lambda: None


def _adam(rows: int) -> Update:
    dense = Table(rows, DIM, 0.1)
    optimiser = torch.optim.Adam(dense.parameters(), fused=True)

    def step() -> None:
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return dense, step


UPDATES: dict[str, Callable[[int], Update]] = {
    "fused": _fused,
    "plain": partial(_plain, "rowwise_adagrad"),
    "sparse_adam": partial(_plain, "sparse_adam"),
    "adam": _adam,
}


def table(found: dict[str, dict[int, float]]) -> str:
    sizes = list(next(iter(found.values())))
    lines = [f"{'ms a step':10}" + "".join(f"{size:>14,}" for size in sizes)]
    return "\n".join(
        [*lines, *(f"{name:10}" + "".join(f"{row[s]:14.2f}" for s in sizes) for name, row in found.items())]
    )


if __name__ == "__main__":
    main()
