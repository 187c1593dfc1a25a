"""A run's evaluation as tables for people: the model beside its rivals, both ways round."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.fitting import Fitting

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

COLUMNS = {
    "HR@10": "hr@10",
    "NDCG@10": "ndcg@10",
    "MRR": "mrr",
    "coverage": "coverage@10",
    "R@100 warm": "warm_recall@100",
}
"""Headings of the metrics beside recall: HR hit rate; coverage: share of the candidates in some top 10; warm: of the
bids by companies known at the time."""

LEAST = ("R@100 warm", "coverage", "MRR", "HR@10", "NDCG@10")
"""Headings that go where the terminal is narrow, the first one first."""

LEGEND = """\
R@K: share of a notice's bidders in the first K. HR@10: share of notices with a bidder in the first 10. coverage: share
of the candidates in any first 10. warm: only bids by companies known then. frozen: companies as of the cutoff; rolling:
refreshed every week. The weights are the same."""
"""For who reads the table for the first time; the page of a run says it at length."""

FOR_COMPANIES = {"recall@10": "R@10", "recall@50": "R@50", "hr@10": "HR@10", "ndcg@10": "NDCG@10", "mrr": "MRR"}


def metrics_table(metrics: Mapping[str, Any], folder: Path) -> "RenderableType":
    """Model and baselines side by side, the model first; Recall@100 with its 95 % interval."""
    from rich.console import Group

    from bidrec.ranking.metrics import depths_of

    depths = depths_of(next(iter(metrics["metrics"]["frozen"].values())))
    columns = {f"R@{depth}": f"recall@{depth}" for depth in depths} | COLUMNS
    table = Fitting(lambda headings: _table_of_rankers(metrics, columns, headings), list(columns), LEAST)
    parts: list[RenderableType] = [table, LEGEND, _comparison(metrics)]
    if metrics.get("for_companies"):
        parts += [_companies_table(metrics["for_companies"]), _comparison(metrics["for_companies"])]
    if metrics.get("newcomers"):
        parts.append(_newcomers(metrics["newcomers"]))
    if metrics.get("exposure"):
        parts.append(_exposure_table(metrics["exposure"]))
    return Group(*parts, f"Run: {folder}")


def _table_of_rankers(metrics: Mapping[str, Any], columns: Mapping[str, str], headings: Sequence[str]) -> "Table":
    """Of each mode and ranker the figures under these of the `columns` (heading -> metric), and an interval."""
    from bidrec.reporting.templates import ranked

    window = metrics["window"]
    table = _rankers_table(
        f"Test window {window['from'][:10]} to {window['until'][:10]}: {ranked(window)} notices, "
        f"{window['candidates']:,} candidate companies",
        [*headings, "R@100, 95 %"],
    )
    for mode, rankers in metrics["metrics"].items():
        for name, row in rankers.items():
            ci = row.get("ci", {}).get("recall@100")
            interval = f"{ci[0]:.3f}-{ci[1]:.3f}" if ci else "none"
            table.add_row(mode, name, *(_number(row.get(columns[heading])) for heading in headings), interval)
        table.add_section()
    return table


def _rankers_table(title: str, figures: Sequence[str]) -> "Table":
    """An empty table of a row for each mode and ranker."""
    from rich.table import Table

    table = Table("mode", "ranker", title=title, title_justify="left")
    for heading in figures:
        table.add_column(heading, justify="right")
    return table


def _companies_table(metrics: Mapping[str, Any]) -> "RenderableType":
    """The other way round: notices for companies."""
    table = _rankers_table(
        f"Notices for a company, by period: {metrics['queries']:,} lists, "
        f"it may bid on {metrics['eligible_notices']:,.0f} of {metrics['open_notices']:,.0f}",
        list(FOR_COMPANIES.values()),
    )
    for mode, rankers in metrics["metrics"].items():
        for name, row in rankers.items():
            table.add_row(mode, name, *(_number(row.get(column)) for column in FOR_COMPANIES))
    return table


def _newcomers(found: Mapping[str, Any]) -> str:
    """How companies without a known bid fare beside the others."""
    parts = []
    for name, kind in (("cold", "companies without a known bid"), ("warm", "the others")):
        part = found[name]
        share = f", {part['of_the_oracle']:.0%} of the oracle's" if part["of_the_oracle"] is not None else ""
        recall = f": R@100 {part['recall@100']['final']:.3f}{share}" if part["bids"] else ""
        parts.append(f"{part['bids']:,} bids by {kind}{recall}.")
    return " ".join(parts)


def _exposure_table(strengths: Sequence[Mapping[str, Any]]) -> "RenderableType":
    """What it costs to show small firms more often, and whom the lists show then."""
    from rich.table import Table

    table = Table(title="ranking.exposure: final with small firms shown more", title_justify="left")
    for heading in ("exposure", "R@10", "NDCG@10", "coverage", "long tail", "Gini"):
        table.add_column(heading, justify="right")
    for row in strengths:
        figures = ("recall@10", "ndcg@10", "coverage@10", "long_tail_share@10", "gini@10")
        table.add_row(f"{row['exposure']:g}", *(_number(row[name]) for name in figures))
    return table


def _comparison(metrics: Mapping[str, Any]) -> str:
    difference, best = metrics.get("difference"), metrics["best_baseline"]
    if not difference:
        return f"Best baseline: {best}"
    ci = difference["ci"]
    within = f"95 % {ci[0]:+.3f} to {ci[1]:+.3f}" if ci else "no interval: evaluation.bootstrap is 0"
    change = f"{difference['metric']} {difference['mean']:+.3f}, {within}"
    return f"{difference['model']} against the best baseline ({best}): {change}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
