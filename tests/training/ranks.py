"""What the processes of test_distributed.py run: `torchrun ... -m tests.training.ranks FOLDER`.

Reads   FOLDER/handed-on, a training that was begun
Writes  FOLDER/losses.json, the losses of every kind of training, as the first process saw them, FOLDER/RANK.json,
        what each process was told by the others, and FOLDER/RANK-held.json, whether an error kept what it met
"""

import json
import os
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn
from unittest.mock import patch

import torch
from torch import Tensor

from bidrec.config import Config, Loss, Model, Training
from bidrec.errors import DependencyDown, InputMissing, Interrupted
from bidrec.model.row_rules import new_state
from bidrec.model.tables import Rate, Table, row_update
from bidrec.model.two_tower import build
from bidrec.operations import machine
from bidrec.training import distributed, processes
from bidrec.training.loop import train
from bidrec.training.sharding import shard_tables
from bidrec.training.watch import Watch
from tests.training.sets import training_set

# Seven notices a step are no even number, and some steps have fewer companies known than are drawn.
SET = training_set(records=True)
STOP_AFTER, HANDED_ON_AFTER = 60, 30
SMALL = Model(
    embedding_dim=8,
    table_dim=16,
    hidden=(16,),
    company_hidden=16,
    history_length=8,
    dropout=0.0,
    fact_dropout=0.0,
)
ALONE = Training(batch_size=7, epochs=5, patience=9, refit=False, candidates=16, history_gradients=30)
LEARNED = Loss(kind="in_batch", logq=True, two_way=True, other_bidders="masked", uniform_negatives=8)
STATIC = Model(kind="static", embedding_dim=8, table_dim=8, hidden=(16,), dropout=0.0)
ROW_WISE, SPARSE = (replace(ALONE, table_optimiser=rule) for rule in ("rowwise_adagrad", "sparse_adam"))
SHARDED = replace(ROW_WISE, shard_tables_above_mb=0.001)
"""The titles' tables are: half of the rows of one member's in each process, of two members' a whole one."""
KINDS = {
    "history": Config(model=SMALL, training=ROW_WISE),
    "static-logq": Config(model=STATIC, loss=LEARNED, training=replace(SPARSE, batch_size=19)),
    "static-rows": Config(
        model=STATIC, loss=Loss(logq=True), training=replace(SPARSE, batch_size=19, whole_notices=True)
    ),
    "history-sharded": Config(model=replace(SMALL, members=1), training=SHARDED),
    "history-logq": Config(model=SMALL, loss=LEARNED, training=ALONE),
}

HANDED_ON = Config(model=SMALL, training=replace(SHARDED, epochs=2, checkpoint_seconds=0))
"""Begun by one process, gone on with by two, ended by one; all give their rows to a checkpoint after each step and at
each epoch's end."""


def note_losses(found: list[float], config: Config, run: Path, stop: Callable[[], bool] = lambda: False) -> None:
    """Train, and note the loss of every step."""
    seen = Watch.loss

    def note(watch: Watch, loss: Tensor) -> None:
        found.append(loss.item())
        seen(watch, loss)

    Watch.loss = note  # type: ignore[method-assign]
    try:
        train(config, SET, run, stop)
    finally:
        Watch.loss = seen  # type: ignore[method-assign]


def stopped(config: Config, run: Path, steps: int) -> list[float]:
    """The losses of a training's next steps, after which the last process is asked to stop."""
    losses: list[float] = []
    last = processes.size() - 1
    with suppress(Interrupted):
        note_losses(losses, config, run, lambda: processes.rank() == last and len(losses) == steps)
    assert len(losses) == steps
    return losses


def interrupted_and_resumed(config: Config, run: Path) -> list[float]:
    """The losses of a training that one process, not the first, is asked to stop."""
    losses = stopped(config, run, STOP_AFTER)
    note_losses(losses, config, run)
    return losses


def refusal() -> str:
    """What this process hears when the first one fails."""

    def refuse() -> None:
        raise InputMissing("no source", hint="set [source]")

    try:
        processes.first(refuse)
    except InputMissing as error:
        return str(error)
    return "nothing"


def rows_held(members: int) -> list[int]:
    """How many rows of each member's two tables of notices, kinds and titles, this process holds."""
    model = build(replace(SMALL, members=members), SET.schema)
    shard_tables(model, SHARDED.shard_tables_above_mb, torch.device("cpu"))
    return [len(table.weight) for table in model.notice.modules() if isinstance(table, Table)]


def too_small() -> str:
    """What this process hears where the tables have no room."""
    try:
        with patch.object(machine, "memory", return_value=1000):
            rows_held(members=1)
    except DependencyDown as error:
        return str(error)
    return "nothing"


def half_precision_copy(device: str = "cpu") -> list[list[float]]:
    """This process's copy of a bfloat16 table after steps in which each process read rows of its own."""
    torch.manual_seed(0)
    table = Table(40, 4, spread=0.1)
    table.halve()
    table.to(device)
    weight = table.weight.detach()
    update = row_update("sparse_adam", weight, new_state("sparse_adam", weight), Rate(0.001))
    own = torch.Generator().manual_seed(processes.rank())
    for _ in range(20):
        ids = torch.randint(40, (8,), generator=own).to(device)
        update(ids, torch.arange(9, device=device), None).square().sum().backward()
    return weight.tolist()


class Held:
    """What a frame of an error refers to, as one of a stopped training does to its model."""


def fail_holding(seen: list[weakref.ref[Held]]) -> NoReturn:
    held = Held()
    seen.append(weakref.ref(held))
    raise RuntimeError("what a library raised")


def stop_holding(seen: list[weakref.ref[Held]]) -> NoReturn:
    held = Held()
    seen.append(weakref.ref(held))
    try:
        fail_holding(seen)
    except RuntimeError as error:
        raise Interrupted("stopped by a signal") from error


def main(folder: Path) -> None:
    rank = os.environ["RANK"]
    seen: list[weakref.ref[Held]] = []
    try:
        with processes.joined("cpu"):
            tell(folder)
            stop_holding(seen)
    except Interrupted:
        (folder / f"{rank}-held.json").write_text(json.dumps([each() is not None for each in seen]), encoding="utf-8")


def tell(folder: Path) -> None:
    heard = {
        "size": processes.size(),
        "refusal": refusal(),
        "rows": [rows_held(members) for members in (1, 2)],
        "too_small": too_small(),
        "agreed": processes.agreed(processes.rank() == 1, False),
        "bfloat16": half_precision_copy(),
        "part": list(range(7))[distributed.part(7)],
    }
    (folder / f"{processes.rank()}.json").write_text(json.dumps(heard), encoding="utf-8")
    losses = {kind: interrupted_and_resumed(config, folder / kind) for kind, config in KINDS.items()}
    losses["handed on"] = stopped(HANDED_ON, folder / "handed-on", HANDED_ON_AFTER)
    if processes.is_first():
        (folder / "losses.json").write_text(json.dumps(losses), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
