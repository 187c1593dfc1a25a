"""What the contenders of benchmarks/training.py train, and how."""

from dataclasses import replace
from typing import Any

from bidrec.config import Config, Loss, Model, Training

SEED_MODEL = Model(
    kind="static",
    table_dim=32,
    hidden=(128, 64),
    embedding_dim=64,
    dropout=0.1,
    temperature=1.0,
    learn_temperature=False,
)
SEED_RECIPE = Training(batch_size=256, learning_rate=1e-3, weight_decay=1e-5, refit=False, epochs=50, patience=50)

STATIC: dict[str, Any] = {"table_optimiser": "sparse_adam"}
"""The seed's recipe, random pairs and Adam, but only the rows that a batch reads move."""
FAST: dict[str, Any] = STATIC | {"whole_notices": True, "logq": True}
"""Whole notices: their bidders are among the negatives more often than others, for which the loss corrects."""
HALF: dict[str, Any] = FAST | {"precision": "bfloat16"}
"""The layers in bfloat16, for a GPU."""
RANKED: dict[str, dict[str, Any]] = {
    "seed": {"epochs": 24},
    "static": STATIC | {"epochs": 24},
    "fast:4096": FAST | {"epochs": 24, "batch_size": 4_096, "learning_rate": 5e-3},
}
"""What is trained to see how it ranks. A large batch takes few steps, each the longer."""
SEEDS = (7, 8, 9, 10, 11)
"""How one training of them ranks says little: those of other seeds differ by a fifth."""


def configuration(kind: str, logq: bool = False, **training: Any) -> Config:
    """The seed's recipe (`static`) or bidrec's defaults (`history`)."""
    if kind == "static":
        return Config(model=SEED_MODEL, loss=Loss(logq=logq), training=replace(SEED_RECIPE, **training))
    return Config(training=replace(Training(refit=False, epochs=50, patience=50), **training))
