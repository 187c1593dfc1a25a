"""Results as tables for people: metrics, companies for a notice, notices for a company."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

COLUMNS = {
    "hr@10": "HR@10",
    "ndcg@10": "NDCG@10",
    "mrr": "MRR",
    "coverage@10": "coverage",
    "warm_recall@100": "R@100 warm",
}
"""Metrics beside recall and their headings: HR hit rate; coverage: share of the candidates in some top 10; warm: of the
bids by companies known at the time."""

LEGEND = """\
R@K: share of a notice's bidders among the first K; HR@10: notices with one among 10; coverage: companies in some 10;
warm: bids by companies known then. frozen: companies as of the cutoff, rolling: renewed every week, same weights"""
"""For who reads the table for the first time; the page of a run says it at length."""

FOR_COMPANIES = {"recall@10": "R@10", "recall@50": "R@50", "hr@10": "HR@10", "ndcg@10": "NDCG@10", "mrr": "MRR"}


def metrics_table(metrics: Mapping[str, Any], folder: Path | None = None) -> "RenderableType":
    """Model and baselines side by side, the model first; Recall@100 with its 95 % interval."""
    from rich.console import Group

    from bidrec.ranking.metrics import depths_of

    window = metrics["window"]
    depths = depths_of(next(iter(metrics["metrics"]["frozen"].values())))
    columns = {f"recall@{depth}": f"R@{depth}" for depth in depths} | COLUMNS
    table = _rankers_table(
        f"Test window {window['from'][:10]} to {window['until'][:10]}: {window['notices']:,} notices, "
        f"{window['candidates']:,} candidate companies",
        [*columns.values(), "R@100, 95 %"],
    )
    for mode, rankers in metrics["metrics"].items():
        for name, row in rankers.items():
            ci = row.get("ci", {}).get("recall@100")
            interval = f"{ci[0]:.3f}-{ci[1]:.3f}" if ci else "none"
            table.add_row(mode, name, *(_number(row.get(column)) for column in columns), interval)
        table.add_section()
    parts: list[RenderableType] = [table, LEGEND, _comparison(metrics)]
    if metrics.get("for_companies"):
        parts += [_companies_table(metrics["for_companies"]), _comparison(metrics["for_companies"])]
    if metrics.get("newcomers"):
        parts.append(_newcomers(metrics["newcomers"]))
    if metrics.get("exposure"):
        parts.append(_exposure_table(metrics["exposure"]))
    if folder is not None:
        parts.append(f"Run: {folder}")
    return Group(*parts)


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
        f"New notices for a company, period by period: {metrics['queries']:,} lists of "
        f"{metrics['open_notices']:,.0f} notices on average",
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
        recall = f"R@100 {part['recall@100']['final']:.3f}{share}" if part["bids"] else "none"
        parts.append(f"{kind}: {recall} ({part['bids']:,} bids)")
    return f"Of the bids by {'; by '.join(parts)}"


def _exposure_table(strengths: Sequence[Mapping[str, Any]]) -> "RenderableType":
    """What it costs to show small firms more often, and whom the lists show then."""
    from rich.table import Table

    table = Table(title="Small firms shown more often: final at several ranking.exposure", title_justify="left")
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


def companies_table(notice: Mapping[str, Any] | None, companies: Sequence[Mapping[str, Any]]) -> "RenderableType":
    """A notice in words, then its companies; without a notice, the companies near a vector."""
    from rich.console import Group

    table = _listing("company", "name", "region", "bids known", "last opening", why=notice is not None)
    for row in companies:
        table.add_row(
            str(row["rank"]),
            row["company_id"],
            _lines(row["name"], row["region"]),
            _lines(f"{row['bids']:,}", _day(row["last_bid_at"])),
            f"{row['score']:.3f}",
            *_reasons(row),
        )
    if notice is None:
        return Group("Companies, by cosine with the vector", table)
    place = f", {notice['place']}" if notice["place"] else ""
    return Group(
        f"Companies for notice {notice['notice_id']}: {notice['title'] or 'without title'}\n"
        f"  {notice['buyer'] or 'unknown buyer'}{place}, {_money(notice)}, "
        f"closes {_time(notice['closes_at'])}",
        table,
    )


def notices_table(company: Mapping[str, Any] | None, notices: Sequence[Mapping[str, Any]]) -> "RenderableType":
    """A company in words, then the open notices for it; without a company, those near a vector."""
    from rich.console import Group

    table = _listing("notice", "title", "buyer", "value", "closes (UTC)", why=company is not None)
    for row in notices:
        table.add_row(
            str(row["rank"]),
            row["notice_id"],
            _lines(row["title"], row["buyer"]),
            _lines(_money(row), _time(row["closes_at"])),
            f"{row['score']:.3f}",
            *_reasons(row),
        )
    if company is None:
        return Group("Open notices, by cosine with the vector", table)
    words = [part for part in (company["name"], company["region"], f"{company['bids']:,} bids known") if part]
    return Group(f"Open notices for company {company['company_id']}: {', '.join(words)}", table)


def _listing(of: str, name: str, whose: str, size: str, when: str, *, why: bool) -> "Table":
    """An empty list, narrow enough for a terminal of 80 columns: two facts to a cell, and an id is never cut.

    `why`: whether there are reasons; what is near a vector has none."""
    from rich.table import Table

    table = Table("rank")
    table.add_column(of, no_wrap=True)
    table.add_column(_lines(name, whose), overflow="fold")
    table.add_column(_lines(size, when), no_wrap=True)
    table.add_column("score", no_wrap=True)
    if why:
        table.add_column("why")
    return table


def _lines(*parts: str | None) -> str:
    return "\n".join(part for part in parts if part)


def _reasons(row: Mapping[str, Any]) -> list[str]:
    """The closest reason alone: a table is narrow, --json has them all."""
    from bidrec.publishing.reasons import in_words

    return [in_words(row["reasons"][:1])] if "reasons" in row else []


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _money(notice: Mapping[str, Any]) -> str:
    from bidrec.reporting.templates import money

    return money(notice) or "value unknown"


def _day(value: datetime | None) -> str:
    return f"{value:%Y-%m-%d}" if value else "none yet"


def _time(value: datetime | None) -> str:
    return f"{value:%Y-%m-%d %H:%M}" if value else "unknown"
