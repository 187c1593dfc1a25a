"""bidrec tune: search for better settings, on windows before the test window alone."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from bidrec.config import Config
from jobs.options import ascending_days, command, require_source
from jobs.output import Result

if TYPE_CHECKING:
    from rich.console import RenderableType


@command
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Trials in total, including those of earlier calls.",
)
@click.option(
    "--cutoffs",
    metavar="DAY,DAY,...",
    callback=ascending_days,
    help="Judge on the validation windows before these days (UTC), the earliest first; default: the configured cutoff.",
)
@click.option("--only", multiple=True, metavar="KEY", help="Search only this key; may be given several times.")
@click.option("--space", is_flag=True, help="Print what is searched, and stop.")
def tune(config: Config, trials: int, cutoffs: list[date], only: tuple[str, ...], space: bool) -> Result:
    """Search for better settings; judged by validation Recall@100, never on the test window.

    The first trial is the configuration as it is. A search that was stopped (75) resumes: finished trials are in
    tuning/study.db of the home. Needs Optuna: pip install -r requirements/tune.txt
    """
    from bidrec.tuning.space import space_of, value_at

    if space:
        searched = [{**one.as_dict(), "configured": value_at(config, one.key)} for one in space_of(config, only)]
        return Result(data={"space": searched}, text=_space_table(searched))
    require_source(config)
    from bidrec.tuning.search import tune as search

    result = search(config, trials, cutoffs, only)
    return Result(data=result, text=_text(result))


def _space_table(searched: Sequence[Mapping[str, Any]]) -> "RenderableType":
    from rich.table import Table

    table = Table()
    for heading in ("key", "configured", "searched", "what it is"):
        table.add_column(heading)
    for one in searched:
        where = ", ".join(map(_shown, one["choices"])) if "choices" in one else f"{one['low']:g} to {one['high']:g}"
        table.add_row(
            one["key"], _shown(one["configured"]), where + (", by magnitude" if one["log"] else ""), one["why"]
        )
    return table


def _text(result: Mapping[str, Any]) -> "RenderableType":
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    windows = ", ".join(f"{window['from']} to {window['until']}" for window in result["windows"])
    table = Table(title=f"Recall@100 on {windows}", title_justify="left")
    for heading in ("trial", "R@100", "epochs", "seconds"):
        table.add_column(heading, justify="right")
    table.add_column("other than configured")
    for row in result["trials"]:
        recall, seconds = row[result["metric"]], row["seconds"]
        settings = " ".join(f"{key.split('.')[1]}={_shown(value)}" for key, value in row["settings"].items())
        table.add_row(
            str(row["trial"]),
            ("" if row["state"] == "whole" else "stopped at ") + _recall(recall),
            str(row["epochs"]),
            "" if seconds is None else f"{seconds:.0f}",
            settings or "nothing",
        )
    found = result["toml"] or "# nothing was better than what is configured"
    best, configured = (_recall(result[name]) for name in ("best", "configured"))
    return Group(table, "", f"# the best: {best}, as configured: {configured}", Text(found))


def _recall(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.4f}"


def _shown(value: Any) -> str:
    return "/".join(f"{item:g}" for item in value) if isinstance(value, tuple | list) else f"{value:g}"
