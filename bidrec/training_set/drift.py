"""Whether a field has shifted further from the training window than [drift] allows: a warning, or the end with 65.

Reads   the figures of bidrec.training_set.statistics; at write-back also statistics.json of the run's training set
Writes  one line of the log, or raises
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from bidrec.config import Drift
from bidrec.errors import ConfigurationError, ContractError, did_you_mean
from bidrec.features.schema import ENCODED, Schema
from bidrec.operations import log
from bidrec.storage.intact import require_intact
from bidrec.storage.sealed import read_json
from bidrec.training_set.splits import DAY
from bidrec.training_set.statistics import REFERENCE, Figures, Table, measure
from bidrec.training_set.tables import FeatureTables, views_of

STATISTICS = "statistics.json"
SERVING = "serving"
"""The name of the window at write-back: the newest days."""

_logger = log.get("drift")


@dataclass(frozen=True)
class Shift:
    """One figure of one field beyond its bound."""

    side: str
    field: str
    window: str
    figure: str
    key: str
    bound: float
    excess: float
    """How many times the bound."""
    now: dict[str, Any]
    then: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.side}.{self.field}"

    def __str__(self) -> str:
        return (
            f"{self.side} field {self.field}: {self.figure} in the {self.window} window, above drift.{self.key} "
            f"{self.bound:g} (NULL {self.then['null_share']:.1%} of {self.then['rows']:,} rows in training, "
            f"{self.now['null_share']:.1%} of {self.now['rows']:,} now)"
        )


def tables_of(tables: FeatureTables, schema: Schema) -> list[Table]:
    """The feature tables with all fields of their views, for `measure`."""
    return [Table(tables.connection, side, view.fields) for side, view in views_of(schema).items()]


def hold(figures: Figures, training: Figures, schema: Schema, drift: Drift) -> None:
    """Hold every field the model reads to the bounds; `training`: the training window's bins.

    What chance alone does to samples of this size is allowed for. Raises ContractError (65) naming the worst field if
    drift.refuse, otherwise says the same in the log.
    """
    read = {side: [f.name for f in view.fields if f.read in ENCODED] for side, view in views_of(schema).items()}
    shifts = shifts_of(figures, training, read, drift)
    if not shifts:
        return
    worst, others = shifts[0], {shift.name for shift in shifts} - {shifts[0].name}
    message = str(worst) + (f"; beyond a bound too: {_some(sorted(others))}" if others else "")
    hint = f"look at its column {_source(schema, worst)}, name it in drift.exceptions, or raise drift.{worst.key}"
    if worst.window == SERVING and worst.now["null_share"] - worst.then["null_share"] > drift.max_null_share_rise:
        hint = f"if {_source(schema, worst)} is filled in after the opening, no feature may read it; otherwise {hint}"
    if drift.refuse:
        raise ContractError(message, hint=hint)
    _logger.warning(message, hint=hint, others=sorted(others))


def hold_today(tables: list[Table], schema: Schema, drift: Drift, training_set: Path, as_of: int) -> Figures:
    """Hold the rows of the drift.serving_days up to `as_of` to a run's training window; returns their figures.

    as_of: epoch seconds UTC, inclusive. Raises as `hold` does, and ContractError (65) where the run's statistics are
    damaged.
    """
    require_intact(training_set, (STATISTICS,))
    training = read_json(training_set / STATISTICS)
    window = (as_of + 1 - drift.serving_days * DAY, as_of + 1)
    figures, _ = measure(tables, {SERVING: window}, training)
    hold(figures, training, schema, drift)
    return figures


def shifts_of(figures: Figures, training: Figures, read: Mapping[str, Iterable[str]], drift: Drift) -> list[Shift]:
    """Every figure beyond its bound, the worst first. `read`: side -> fields that the model reads."""
    shifts = [
        shift
        for side, names in read.items()
        for name in names
        if not {name, f"{side}.{name}"} & set(drift.exceptions)
        for window, now in figures[side].get(name, {}).items()
        if window != REFERENCE and name in training[side]
        for shift in _beyond(drift, (side, name, window), now, training[side][name])
    ]
    return sorted(shifts, key=lambda shift: (-shift.excess, str(shift)))


def require_known(drift: Drift, schema: Schema) -> None:
    """An exception that names no field would hold nothing, and say nothing: ConfigurationError (64). One's own feature
    repository may lack some of those that are named by default."""
    fields = {f"{side}.{field.name}": field.name for side, view in views_of(schema).items() for field in view.fields}
    known = [*fields.values(), *fields]
    errors = []
    for name in set(drift.exceptions) - {*known, *Drift().exceptions}:
        near = did_you_mean(name, known)
        errors.append(f"unknown field {name}" + (f", {near}" if near else ""))
    if errors:
        raise ConfigurationError(
            f"drift.exceptions: {'; '.join(sorted(errors))}", hint="bidrec features lists every field"
        )


def _beyond(drift: Drift, where: tuple[str, str, str], now: dict[str, Any], then: dict[str, Any]) -> Iterator[Shift]:
    if not now["rows"] or not then["rows"]:
        return
    rise = now["null_share"] - then["null_share"]
    share = (now["null_share"] * now["rows"] + then["null_share"] * then["rows"]) / (now["rows"] + then["rows"])
    chance = 3 * (share * (1 - share) * (1 / now["rows"] + 1 / then["rows"])) ** 0.5
    for figure, key, bound, excess in (
        (f"population shift (PSI) {now['psi']:.2f}", "max_psi", drift.max_psi, now["psi"] - now["psi_by_chance"]),
        (f"null share {rise:+.1%}", "max_null_share_rise", drift.max_null_share_rise, rise - chance),
    ):
        if excess > bound:
            yield Shift(*where, figure, key, bound, excess / bound if bound else inf, now, then)


def _some(names: list[str]) -> str:
    shown, left = names[:3], len(names) - 3
    return ", ".join(shown) + (f" and {left} more" if left > 0 else "")


def _source(schema: Schema, shift: Shift) -> str:
    """The canonical columns behind a field."""
    return next(field.source for field in views_of(schema)[shift.side].fields if field.name == shift.field)
