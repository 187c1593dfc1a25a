"""What `bidrec tune` searches: one entry a key of the configuration, with where it may lie and why it is looked at.

Reads   the configuration, whose own settings always belong to the space
Writes  other configurations, and the difference to one as TOML

The size of the published vectors, the data and the split are no part of it: a search may change how well the model
learns, not what others build on or what it is measured by.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bidrec.config import Config
from bidrec.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Dimension:
    key: str
    """A key of the configuration, as table.name."""
    why: str
    choices: tuple[Any, ...] = ()
    """What it may be; empty: a number from `low` to `high`."""
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    """Whether the number is drawn by its order of magnitude."""
    kinds: tuple[str, ...] = ("history", "static")
    """The values of model.kind that read the key."""

    def around(self, value: Any) -> "Dimension":
        """The dimension with `value` inside."""
        if self.choices:
            return self if value in self.choices else dataclasses.replace(self, choices=(value, *self.choices))
        # From zero, no order of magnitude can be drawn.
        return dataclasses.replace(
            self, low=min(self.low, value), high=max(self.high, value), log=self.log and value > 0
        )

    def as_dict(self) -> dict[str, Any]:
        where = {"choices": list(self.choices)} if self.choices else {"low": self.low, "high": self.high}
        return {"key": self.key, **where, "log": self.log, "why": self.why}


_HISTORY = ("history",)
SPACE = (
    Dimension(key="training.learning_rate", low=1e-3, high=2e-2, log=True, why="how far a step moves the layers"),
    Dimension(key="training.table_learning_rate", low=0.01, high=0.2, log=True, why="the same for the tables"),
    Dimension(key="training.weight_decay", choices=(0.0, 1e-6, 1e-5, 1e-4), why="pulls weights towards zero"),
    Dimension(key="training.batch_size", choices=(256, 512, 1024), why="longer stretches: fewer, steadier steps"),
    Dimension(
        key="training.history_gradients",
        choices=(1024, 2048, 4096, 8192),
        kinds=_HISTORY,
        why="notices of the histories that learn in a step",
    ),
    Dimension(key="model.dropout", low=0.0, high=0.6, why="against learning words and units by heart"),
    Dimension(key="model.fact_dropout", low=0.0, high=0.9, kinds=_HISTORY, why="exact counts name a company"),
    Dimension(
        key="model.half_lives",
        choices=((60.0, 400.0), (20.0, 120.0, 600.0), (30.0, 150.0, 800.0), (120.0,)),
        kinds=_HISTORY,
        why="how fast a bid of a history fades",
    ),
    Dimension(
        key="model.training_history", choices=(24, 48, 96), kinds=_HISTORY, why="bids of a history that a step reads"
    ),
    Dimension(key="model.table_dim", choices=(64, 128, 192), why="how much a table's row can say"),
    Dimension(key="model.temperature", low=0.03, high=0.3, log=True, why="how sharp the softmax starts"),
)


def space_of(config: Config, only: Sequence[str] = ()) -> tuple[Dimension, ...]:
    """The dimensions that the configured model reads, around its settings; `only` keeps those with these keys.

    Raises ConfigurationError (64) for a key that is not searched.
    """
    read = {one.key: one for one in SPACE if config.model.kind in one.kinds}
    unknown = [key for key in only if key not in read]
    if unknown:
        raise ConfigurationError(
            f"{', '.join(unknown)}: not searched with model.kind '{config.model.kind}'",
            hint="bidrec tune --space lists the keys that are",
        )
    return tuple(one.around(value_at(config, key)) for key, one in read.items() if not only or key in only)


def value_at(config: Config, key: str) -> Any:
    table, name = key.split(".")
    return getattr(getattr(config, table), name)


def with_settings(config: Config, settings: Mapping[str, Any]) -> Config:
    """The configuration with these keys (table.name) set."""
    for key, value in settings.items():
        table, name = key.split(".")
        changed = dataclasses.replace(getattr(config, table), **{name: value})
        config = dataclasses.replace(config, **{table: changed})
    return config


def differing(config: Config, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the settings that are not the configuration's own."""
    return {key: value for key, value in settings.items() if value != value_at(config, key)}


def toml_of(settings: Mapping[str, Any]) -> str:
    """The settings as one writes them in bidrec.toml; "" for none."""
    tables: dict[str, list[str]] = {}
    for key, value in settings.items():
        table, name = key.split(".")
        tables.setdefault(table, []).append(f"{name} = {json.dumps(value)}")
    return "\n\n".join("\n".join([f"[{table}]", *lines]) for table, lines in tables.items())
