"""What the values of each field look like in each window, and whether they have shifted beyond [drift].

Reads   the feature tables, one column at a time, in SQL; at write-back also statistics.json of the run's training set
Writes  `statistics` of the training set's manifest, and statistics.json: the bins of the training window

A row belongs to the window in which it became known. Bins are cut from the training window alone. The shift is the
population stability index (Siddiqi, Credit Risk Scorecards, 2006): the sum over bins of (share - share then) *
ln(share / share then), half a row added to every bin. `psi_by_chance` is the index's mean and three standard deviations
for samples of one population (Yurdakul and Naranjo, J. Risk Model Validation 14(4), 2020).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from bidrec.config import Drift
from bidrec.errors import ConfigurationError, ContractError, did_you_mean
from bidrec.features.schema import ENCODED, Field, Schema
from bidrec.operations import log
from bidrec.operations.progress import Counted
from bidrec.sql.words import quoted
from bidrec.storage.intact import require_intact
from bidrec.storage.sealed import read_json
from bidrec.training_set.arrays import seconds
from bidrec.training_set.splits import DAY
from bidrec.training_set.tables import FeatureTables, views_of

Windows = dict[str, tuple[int, int]]
"""Name -> half-open stretch of time in seconds since the epoch, UTC."""
Figures = dict[str, dict[str, dict[str, Any]]]
"""Side -> field -> what is known of it."""

REFERENCE = "training"
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
DECILES = tuple(i / 10 for i in range(1, 10))
TOP_VALUES = 20
"""Values of a category with a bin of their own; the others share one."""
TABLES = {"notice": "notice", "profile": "profile", "version": "activity"}
"""Side -> relation of open_tables."""


@dataclass(frozen=True)
class Table:
    """One feature table: all fields of its view, and when its rows became known."""

    connection: duckdb.DuckDBPyConnection
    side: str
    fields: tuple[Field, ...]

    @property
    def known_at(self) -> str:
        """SQL: when a row became known, in whole seconds, as the training set rounds it."""
        return seconds("published_at", "floor") if self.side == "notice" else seconds("known_at")

    def rows(self, windows: Windows, *values: str) -> str:
        """SQL: `period`, the name of its window, and the values of every row that is in one."""
        edges = {name: (self._edge(begin), self._edge(end)) for name, (begin, end) in windows.items()}
        cases = " ".join(f"WHEN {begin} AND NOT {end} THEN '{name}'" for name, (begin, end) in edges.items())
        # The first edge on the bare column lets the reader leave out row groups that are too old.
        first = self._edge(min(begin for begin, _ in windows.values()))
        return (
            f"SELECT * FROM (SELECT CASE {cases} END AS period, {', '.join(values)} FROM {TABLES[self.side]} "
            f"WHERE {first}) WHERE period IS NOT NULL"
        )

    def _edge(self, moment: int) -> str:
        """SQL: the row's time in whole seconds is at or after the moment; comparing microseconds is cheaper."""
        column, edge = ("published_at", moment) if self.side == "notice" else ("known_at", moment - 1)
        micros = max(edge * 1_000_000 + (self.side != "notice"), -(2**55))
        return f"{column} >= make_timestamptz({micros})"


def measure(tables: list[Table], windows: Windows, reference: Figures | None = None) -> tuple[Figures, Figures]:
    """The figures of every field in every window, and the bins of the training window.

    reference: bins of an earlier training window to hold the windows against; None: `windows` has one of its own.
    A window's figures: `rows`, `null_share` (an empty list counts as NULL), and for what the model reads `cardinality`,
    `quantiles` (QUANTILES of a number, of a time's age in days, of a text's or vector's length), `psi` against the
    training window and `psi_by_chance`; None where there is nothing to measure.
    """
    figures: Figures = {}
    bins: Figures = {}
    measured = Counted(log.get("training_set"), "measuring fields", sum(len(table.fields) for table in tables))
    for table in tables:
        figures[table.side], bins[table.side] = _nulls(table, windows), {}
        for field in table.fields:
            then = None if reference is None else reference[table.side].get(field.name)
            if _kind(field) != "none" and (reference is None or then):
                bins[table.side][field.name] = _spread(table, field, figures[table.side][field.name], windows, then)
            measured()
    return figures, bins


def _nulls(table: Table, windows: Windows) -> dict[str, dict[str, Any]]:
    """Rows and null share of all fields, in one pass."""
    names = [field.name for field in table.fields]
    figures: dict[str, dict[str, Any]] = {
        name: {window: {"rows": 0, "null_share": None} for window in windows} for name in names
    }
    # Not count(*) FILTER: for each of those DuckDB keeps a block of all columns, so that their square is what it takes.
    stated = (f"nullif(len(f{at}), 0)" if field.read == "bag" else f"f{at}" for at, field in enumerate(table.fields))
    missing = [f"count(*) - count({value})" for value in stated]
    values = (f"{_value(field, table.known_at)} AS f{at}" for at, field in enumerate(table.fields))
    for window, rows, *nulls in table.connection.execute(
        f"SELECT period, count(*), {', '.join(missing)} FROM ({table.rows(windows, *values)}) GROUP BY period"
    ).fetchall():
        for name, null in zip(names, nulls, strict=True):
            figures[name][window] = {"rows": rows, "null_share": round(null / rows, 6)}
    return figures


def _spread(
    table: Table, field: Field, figures: dict[str, Any], windows: Windows, then: dict[str, Any] | None
) -> dict[str, Any]:
    """Add cardinality, quantiles and shift to a field's figures; returns the training window's bins."""
    rows = table.rows(windows, f"{_value(field, table.known_at)} AS value")
    counted = _numbers if _kind(field) == "number" else _categories
    facts, cuts, counts = counted(table.connection, rows, field, then["cuts"] if then else None)
    if then is None:
        then = {"cuts": cuts, "counts": counts.get(REFERENCE, [0] * (len(cuts) + 2)), **figures[REFERENCE]}
    for window, one in figures.items():
        one.update(facts.get(window, {"cardinality": 0, "quantiles": None}))
        one.update(_shift(then, counts.get(window), one["rows"]))
    return then


def _kind(field: Field) -> str:
    return {
        "dense": "number",
        "vector": "number",
        "age": "number",
        "text": "number",
        "categorical": "category",
        "bag": "category",
    }.get(field.read, "none")


def _value(field: Field, known_at: str) -> str:
    """SQL: what is counted of a field."""
    name = quoted(field.name)
    number = f"CAST({name} AS DOUBLE)"
    return {
        "dense": f"CASE WHEN isfinite({number}) THEN {number} END",
        "vector": f"sqrt(list_sum(list_transform(CAST({name} AS DOUBLE[]), lambda x: x * x)))",
        "age": f"({known_at} - {seconds(field.name)}) / 86400",
        "text": f"CAST(length({name}) AS DOUBLE)",
        "categorical": f"CAST({name} AS VARCHAR)",
        "bag": f"CAST({name} AS VARCHAR[])",
    }.get(field.read, name)


def _numbers(
    connection: duckdb.DuckDBPyConnection, rows: str, field: Field, cuts: list[float] | None
) -> tuple[dict[str, Any], list[float], dict[str, list[int]]]:
    """Facts by window, the upper edges of the bins, and counts by window: one a bin, one above them, one of NULLs."""
    asked = [*QUANTILES, *DECILES]
    facts, deciles = {}, []
    for window, distinct, values in connection.execute(
        f"SELECT period, count(DISTINCT value), quantile_disc(value, {asked}) FROM ({rows}) GROUP BY period"
    ).fetchall():
        facts[window] = {"cardinality": distinct, "quantiles": values and values[: len(QUANTILES)]}
        if window == REFERENCE:
            deciles = sorted(set(values[len(QUANTILES) :])) if values else []
    cuts = deciles if cuts is None else cuts
    # As text: a bare 0.1234 would be a DECIMAL first, and the double next to the one that was measured.
    above = " + ".join(["0", *(f"(value > '{cut!r}'::DOUBLE)::INTEGER" for cut in cuts)])
    binned = f"SELECT period, CASE WHEN value IS NULL THEN {len(cuts) + 1} ELSE {above} END AS bin FROM ({rows})"
    return facts, cuts, _counts(connection, binned, "count(*)", len(cuts) + 2)


def _categories(
    connection: duckdb.DuckDBPyConnection, rows: str, field: Field, cuts: list[str] | None
) -> tuple[dict[str, Any], list[str], dict[str, list[int]]]:
    """The same with the most frequent values of the training window as bins, then the others, then NULL."""
    if field.read == "bag":
        item = "unnest(CASE WHEN coalesce(len(value), 0) = 0 THEN [NULL] ELSE list_distinct(value) END)"
        rows = f"SELECT period, {item} AS value FROM ({rows})"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE counted AS SELECT period, value, count(*) AS n FROM ({rows}) GROUP BY ALL"
    )
    distinct = connection.execute("SELECT period, count(value) FROM counted GROUP BY period").fetchall()
    if cuts is None:
        top = "SELECT value FROM counted WHERE period = ? AND value IS NOT NULL ORDER BY n DESC, value LIMIT ?"
        cuts = [value for (value,) in connection.execute(top, [REFERENCE, TOP_VALUES]).fetchall()]
    connection.execute("SET VARIABLE cuts = ?::VARCHAR[]", [cuts])
    place = f"coalesce(nullif(list_position(getvariable('cuts'), value), 0) - 1, {len(cuts)})"
    binned = f"SELECT period, CASE WHEN value IS NULL THEN {len(cuts) + 1} ELSE {place} END AS bin, n FROM counted"
    facts = {window: {"cardinality": values, "quantiles": None} for window, values in distinct}
    return facts, cuts, _counts(connection, binned, "sum(n)::BIGINT", len(cuts) + 2)


def _counts(connection: duckdb.DuckDBPyConnection, binned: str, total: str, bins: int) -> dict[str, list[int]]:
    counts: dict[str, list[int]] = {}
    for window, at, number in connection.execute(
        f"SELECT period, bin, {total} FROM ({binned}) GROUP BY ALL"
    ).fetchall():
        counts.setdefault(window, [0] * bins)[at] = number
    return counts


def _shift(then: dict[str, Any], counts: list[int] | None, rows: int) -> dict[str, float | None]:
    if not then["rows"] or not rows or counts is None:
        return {"psi": None, "psi_by_chance": None}
    freedom = sum(1 for now, before in zip(counts, then["counts"], strict=True) if now or before) - 1
    chance = (freedom + 3 * (2 * freedom) ** 0.5) * (1 / rows + 1 / then["rows"])
    return {"psi": round(psi(counts, then["counts"]), 6), "psi_by_chance": round(chance, 6)}


def psi(now: list[int], then: list[int]) -> float:
    """The population stability index of two counts over the same bins; bins empty in both are left out."""
    used = [at for at in range(len(now)) if now[at] or then[at]]
    share, before = (np.array([counts[at] for at in used]) + 0.5 for counts in (now, then))
    share, before = share / share.sum(), before / before.sum()
    return float(((share - before) * np.log(share / before)).sum())


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
