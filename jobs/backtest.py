"""bidrec backtest: the same training at several cutoffs, and how a model that is not trained again ages."""

import math
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from bidrec.config import Config
from bidrec.ranking.names import BEST_BASELINE, MODEL
from jobs.options import ascending_days, command, require_source
from jobs.output import Result

if TYPE_CHECKING:
    from rich.console import RenderableType

HEADINGS = {"recall@100": "R@100", "recall@10": "R@10", "ndcg@10": "NDCG@10"}
BAR = 28
"""Characters of a bar; its table then fits 80 columns."""


@command
@click.option(
    "--cutoffs",
    required=True,
    metavar="DAY,DAY,...",
    callback=ascending_days,
    help="The cutoffs (UTC), the earliest first.",
)
@click.option(
    "--test-days", "split__test_days", type=int, help="Length of each test window in days; default: split.test_days."
)
def backtest(config: Config, cutoffs: list[date]) -> Result:
    """Train and evaluate at several cutoffs: mean and spread, and Recall@100 by weeks since the training.

    Each cutoff makes a run in the home, as bidrec train does, but write-back publishes it only if --run names it.
    Existing runs are reused, so a backtest that was stopped (75) resumes.
    """
    require_source(config)
    from bidrec.backtest import measure

    result = measure(config, cutoffs)
    return Result(data=result, text=tables(result))


def tables(result: Mapping[str, Any]) -> "RenderableType":
    """Each cutoff with mean and range over them, and the weeks since; on 80 columns words break and figures do not."""
    from rich.console import Group

    mode = list(result["by_week"])[-1]  # rolling, where it was measured
    return Group(_cutoffs_table(result), "", _weeks_table(mode, result["by_week"][mode]))


def _cutoffs_table(result: Mapping[str, Any]) -> "RenderableType":
    from rich.table import Table

    table = Table(
        title=f"{len(result['cutoffs'])} cutoffs, {result['test_days']} days tested after each", title_justify="left"
    )
    for heading in ("cutoff", "notices", "mode"):
        table.add_column(heading, justify="right" if heading == "notices" else "left", no_wrap=True)
    table.add_column("ranker", overflow="fold")
    for heading in HEADINGS.values():
        table.add_column(heading, justify="right")
    for one in result["cutoffs"]:
        for mode, rankers in one["metrics"].items():
            for ranker, row in rankers.items():
                named = f"best baseline ({one['baseline'][mode]})" if ranker == BEST_BASELINE else ranker
                figures = [f"{row[metric]:.3f}" for metric in HEADINGS]
                table.add_row(one["cutoff"], f"{one['window']['notices']:,}", mode, named, *figures)
        table.add_section()
    for title, figure in (("mean ± sd", _mean), ("range", _range)):
        for mode, rankers in result["summary"].items():
            for ranker, row in rankers.items():
                figures = [figure(row[metric]) for metric in HEADINGS]
                table.add_row(title, "", mode, ranker.replace("_", " "), *figures)
        table.add_section()
    return table


def _mean(spread: Mapping[str, float | None]) -> str:
    return f"{spread['mean']:.3f}" + (f" ± {spread['sd']:.3f}" if spread["sd"] is not None else "")


def _range(spread: Mapping[str, float | None]) -> str:
    return f"{spread['min']:.3f} to {spread['max']:.3f}"


def _weeks_table(mode: str, weeks: Sequence[Mapping[str, Any]]) -> "RenderableType":
    """Recall@100 by weeks since the cutoff; the bars' scale begins below what occurs, in steps of .05."""
    from rich.table import Table

    occurring = [week[ranker] for week in weeks for ranker in (MODEL, BEST_BASELINE)]
    low = max(math.ceil(min(occurring) * 20) - 1, 0) / 20
    high = max(math.ceil(max(occurring) * 20) / 20, low + 0.05)
    table = Table(
        title=f"R@100 by weeks since the cutoff, {mode}: the weights stay as they were trained\n"
        "█ what final reaches, ▓ as far as it is ahead of the best baseline, ░ as far as it is behind",
        title_justify="left",
    )
    for heading in ("week", "notices", "final", "best\nbaseline", "ahead"):
        table.add_column(heading, justify="right")
    table.add_column(f"{low:.2f}" + f"{high:.2f}".rjust(BAR - 4), no_wrap=True)
    for week in weeks:
        final, baseline = week[MODEL], week[BEST_BASELINE]
        figures = (f"{final:.3f}", f"{baseline:.3f}", f"{final - baseline:+.3f}")
        table.add_row(str(week["week"]), f"{week['notices']:,}", *figures, bar(final, baseline, low, high))
    return table


def bar(final: float, baseline: float, low: float, high: float) -> str:
    """Both figures on one bar of BAR characters from `low` to `high`."""
    reached, other = (round((value - low) / (high - low) * BAR) for value in (final, baseline))
    return "█" * min(reached, other) + ("▓" * (reached - other) or "░" * (other - reached))
