"""The loops of the system that bidrec replaces, from their description: for benchmarks/training.py.

Every one feeds the same plain step: two towers over one embedding table a field, in-batch softmax over the batch's own
pairs, dense Adam over everything. What differs is who makes the batches:

collate     DataLoader, a dict a row, `collate_fn` over the rows, no workers
async       a preprocessing thread that keeps some of these batches ready
overlap     a loader manager that fetches rows, a pool of processors that makes tensors of them, queues between
tuned       DataLoader with a worker a core (12 at most), prefetch_factor 4, persistent, pinned where there is a GPU
"""

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from bidrec.config import Model
from bidrec.training_set.arrays import Side, TrainingSet

Batch = dict[str, Tensor]
READY = 8
"""Batches that the threads keep ready."""
PROCESSORS = 4


class Pairs(Dataset[dict[str, Any]]):
    """A pair as a dict of its notice's and its company's values."""

    def __init__(self, ts: TrainingSet) -> None:
        # Plain arrays: a read of one of numpy's mapped ones takes two to nine times as long.
        self.notice, self.version = np.asarray(ts.pair_notice), np.asarray(ts.pair_version)
        self.profile = np.asarray(ts.version_profile)
        self.sides = {"notice": _columns(ts.notice), "company": _columns(ts.profile)}

    def __len__(self) -> int:
        return len(self.notice)

    def __getitem__(self, pair: int) -> dict[str, Any]:
        rows = {"notice": self.notice[pair], "company": self.profile[self.version[pair]]}
        sample: dict[str, Any] = {}
        for name, (dense, attributes, fields) in self.sides.items():
            row = rows[name]
            sample[f"{name}_dense"] = dense[row].tolist()
            for (field, base), value in zip(fields, attributes[row].tolist(), strict=True):
                sample[f"{name}_{field}"] = value - base
        return sample


def _columns(side: Side) -> tuple[np.ndarray, np.ndarray, list[tuple[str, int]]]:
    """Numbers, ids and the fields of these, with the number at which each one's begin."""
    fields = [(field["name"], field["base"]) for field in side.schema["attributes"]]
    return np.asarray(side.dense), np.asarray(side.attribute_values).reshape(side.rows, len(fields)), fields


def collate(rows: list[dict[str, Any]]) -> Batch:
    return {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}


def collated(pairs: Pairs, batches: Iterable[list[int]]) -> Iterator[Batch]:
    return iter(DataLoader(pairs, batch_sampler=batches, collate_fn=collate))


def tuned(pairs: Pairs, batches: Iterable[list[int]]) -> Iterator[Batch]:
    workers = min(12, os.cpu_count() or 1)
    return iter(
        DataLoader(
            pairs,
            batch_sampler=batches,
            collate_fn=collate,
            num_workers=workers,
            prefetch_factor=4,
            persistent_workers=True,
            pin_memory=torch.cuda.is_available(),
        )
    )


def preprocessed(pairs: Pairs, batches: Iterable[list[int]]) -> Iterator[Batch]:
    """One thread makes batches ahead of the step."""
    ready: queue.Queue[Batch | None] = queue.Queue(READY)

    def work() -> None:
        for batch in collated(pairs, batches):
            ready.put(batch)
        ready.put(None)

    threading.Thread(target=work, daemon=True).start()
    return iter(ready.get, None)


def overlapped(pairs: Pairs, batches: Iterable[list[int]]) -> Iterator[Batch]:
    """A manager's thread fetches rows and hands them to a pool of threads, whose batches come back in order."""
    ready: queue.Queue[Any] = queue.Queue(READY)
    pool = ThreadPoolExecutor(PROCESSORS)

    def manage() -> None:
        for batch in batches:
            ready.put(pool.submit(collate, [pairs[pair] for pair in batch]))
        ready.put(None)

    threading.Thread(target=manage, daemon=True).start()
    return (made.result() for made in iter(ready.get, None))


LOOPS: dict[str, Callable[[Pairs, Iterable[list[int]]], Iterator[Batch]]] = {
    "collate": collated,
    "async": preprocessed,
    "overlap": overlapped,
    "tuned": tuned,
}


class Tower(nn.Module):
    """A side's numbers and one table a field, through the hidden layers, to unit vectors."""

    def __init__(self, name: str, schema: dict[str, Any], settings: Model) -> None:
        super().__init__()
        self.name, dim = name, settings.table_dim
        self.tables = nn.ModuleDict({f["name"]: nn.Embedding(f["size"], dim) for f in schema["attributes"]})
        widths = [dim * len(self.tables) + len(schema["dense_columns"]), *settings.hidden]
        layers: list[nn.Module] = []
        for at in range(len(settings.hidden)):
            layers += [nn.Linear(widths[at], widths[at + 1]), nn.ReLU()]
            layers += [nn.Dropout(settings.dropout)] if at == 0 else []
        self.network = nn.Sequential(*layers, nn.Linear(widths[-1], settings.embedding_dim))

    def forward(self, batch: Batch) -> Tensor:
        parts = [table(batch[f"{self.name}_{field}"]) for field, table in self.tables.items()]
        return functional.normalize(self.network(torch.cat([*parts, batch[f"{self.name}_dense"]], 1)), dim=1)


class PlainStep:
    """The seed's step: towers, P x P scores, cross entropy, dense Adam."""

    def __init__(
        self, ts: TrainingSet, settings: Model, device: torch.device, learning_rate: float, weight_decay: float
    ) -> None:
        self.device = device
        self.notice = Tower("notice", ts.schema["notice"], settings).to(device)
        self.company = Tower("company", ts.schema["profile"], settings).to(device)
        self.temperature = settings.temperature
        parameters = [*self.notice.parameters(), *self.company.parameters()]
        self.optimiser = torch.optim.Adam(parameters, lr=learning_rate, weight_decay=weight_decay)

    def moved(self, batch: Batch) -> Batch:
        return {name: values.to(self.device, non_blocking=True) for name, values in batch.items()}

    def __call__(self, batch: Batch) -> float:
        batch = self.moved(batch)
        score_PP = self.notice(batch) @ self.company(batch).T / self.temperature
        loss = functional.cross_entropy(score_PP, torch.arange(len(score_PP), device=self.device))
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.item()


def random_batches(pairs: int, size: int, seed: int = 0) -> Iterator[list[int]]:
    """Batches of random pairs without end, drawn some at a time: a permutation of all would be a start of its own."""
    rng = np.random.default_rng(seed)
    while True:
        yield rng.integers(0, pairs, size).tolist()
