"""bidrec features: every field of the model's schema, what it is, how the model reads it, and what it is worth."""

from typing import TYPE_CHECKING, Any

import click

from bidrec.config import Config
from jobs.options import command
from jobs.output import Result

if TYPE_CHECKING:
    from rich.console import RenderableType

    from bidrec.runs.run import Run

WIDTH = 140
"""Columns where nobody's terminal says: a field of the shipped repository then takes two lines, few take three."""


@command
@click.option("--importance", "measure", is_flag=True, help="Measure each field's importance with a finished run.")
@click.option(
    "--run", "run_id", metavar="ID", help="The run whose figures are shown; default: the newest finished one."
)
@click.option("--repeats", default=3, show_default=True, type=click.IntRange(min=1), help="Permutations per field.")
@click.option("--seed", default=7, show_default=True, help="The same seed gives the same permutations.")
def features(config: Config, measure: bool, run_id: str | None, repeats: int, seed: int) -> Result:
    """List the fields of the model's schema: meaning, type, unit, source, and how each is read.

    With a finished run also each field's null share and shift and, once --importance has measured it, its importance:
    the drop in validation Recall@100 when the field's values are permuted.
    """
    from bidrec import flow
    from bidrec.features.schema import read_schema
    from bidrec.runs.found import find, newest
    from bidrec.training_set.tables import views_of

    schema = read_schema(config)
    if measure:
        flow.measure_importance(find(config.home_path, run_id), repeats=repeats, seed=seed)
    run = find(config.home_path, run_id) if run_id is not None or measure else newest(config.home_path)
    statistics, importance = _figures(run)
    fields = [
        {
            "view": view.name,
            "side": side,
            "name": field.name,
            "meaning": field.meaning,
            "type": field.dtype,
            "unit": field.unit,
            "source": field.source,
            "known_from": view.event_time,
            "read": field.read,
            "scale": field.scale,
            "windows": statistics.get(side, {}).get(field.name),
            "importance": _importance(importance, side, field.name, field.read),
        }
        for side, view in views_of(schema).items()
        for field in view.fields
    ]
    measured = {name: value for name, value in importance.items() if name != "drop"} or None
    data = {"service": schema.service, "run": run.id if run else None, "importance": measured, "fields": fields}
    return Result(data=data, text=_tables(fields, run, measured), width=WIDTH)


def _figures(run: "Run | None") -> tuple[dict[str, Any], dict[str, Any]]:
    """A run's statistics and importance, as far as it has them."""
    from bidrec.storage.sealed import read_manifest

    if run is None:
        return {}, {}
    return (read_manifest(run.training_set) or {}).get("statistics", {}), run.importance() or {}


def _importance(measured: dict[str, Any], side: str, name: str, read: str) -> dict[str, float] | None:
    """Positions are read together, as the company's history."""
    drops = measured.get("drop", {}).get(side, {})
    return drops.get("history" if read == "position" else name)


def _tables(fields: list[dict[str, Any]], run: "Run | None", measured: dict[str, Any] | None) -> "RenderableType":
    from rich.console import Group
    from rich.table import Table

    tables: list[Any] = []
    for view in dict.fromkeys(field["view"] for field in fields):
        rows = [field for field in fields if field["view"] == view]
        table = Table(title=f"{view}: known from {rows[0]['known_from']}", title_justify="left")
        for heading in ("field\ntype", "meaning\nsource", "read as\nunit"):
            table.add_column(heading, no_wrap=heading.startswith("field"), overflow="fold")
        for heading in ("null", "shift", "importance"):
            table.add_column(heading, justify="right", no_wrap=True)
        for field in rows:
            pairs = ("name", "type"), ("meaning", "source"), ("read", "unit")
            words = field | {"read": _read(field)}
            table.add_row(*("\n".join(words[one] for one in pair if words[one]) for pair in pairs), *_numbers(field))
        tables.append(table)
    return Group(*tables, "\n".join(_legend(run, measured)))


def _read(field: dict[str, Any]) -> str:
    if field["read"] == "ignore":
        return "not read"
    return f"{field['read']}, ln(1 + x)" if field["scale"] == "log1p" else field["read"]


def _numbers(field: dict[str, Any]) -> tuple[str, str, str]:
    windows, importance = field["windows"] or {}, field["importance"]
    null, shift = windows.get("training", {}).get("null_share"), windows.get("test", {}).get("psi")
    return (
        "" if null is None else f"{null:.1%}",
        "" if shift is None else f"{shift:.2f}",
        "" if importance is None else f"{importance['mean']:+.4f}",
    )


def _legend(run: "Run | None", measured: dict[str, Any] | None) -> list[str]:
    if run is None:
        return ["Null shares, shifts and importances come with a finished run: bidrec train."]
    lines = [
        f"Run {run.id}. null: share of the training window's rows without a value. shift: population stability index "
        "of the test window against the training window."
    ]
    if measured is None:
        return [*lines, "importance: not measured yet; bidrec features --importance does it."]
    return [
        *lines,
        f"importance: drop of Recall@100 ({measured['recall@100']:.3f} over {measured['notices']:,} validation notices "
        f"and {measured['candidates']:,} companies) when the field is permuted; mean of {measured['repeats']}, seed "
        f"{measured['seed']}. Positions: the history as a whole.",
    ]
