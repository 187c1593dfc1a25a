"""A run's page: one HTML file that needs nothing else, made from the facts, the charts and report.html.jinja.

Reads   the facts
Writes  runs/ID/report.html
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from markupsafe import Markup

from bidrec.ranking.metrics import DEPTH, depths_of
from bidrec.reporting import charts
from bidrec.reporting.charts import Line
from bidrec.reporting.templates import decimal, environment
from bidrec.runs.run import Run
from bidrec.storage.whole import write_text
from bidrec.training_set.splits import day_of

SEGMENTS = {
    "company": "Cold and warm companies: bids of the company known at the cutoff",
    "bidders": "Number of bidders",
    "value": "Value",
    "region": "Region",
    "category": "Category",
}
"""Kinds of segment and their headings, in the page's order."""
EDGES = (" first notice", " validation window begins", " cutoff, test window begins", " test window ends")
"""What the edges of the three windows are."""


def write_page(run: Run, facts: Mapping[str, Any]) -> Path:
    """Write the run's page, whole or not at all."""
    write_text(run.page, html(facts))
    return run.page


def html(facts: Mapping[str, Any]) -> str:
    """The page as text."""
    page = environment(html=True).get_template("report.html.jinja")
    depths = [depth for depth in depths_of(facts["model"]) if depth != DEPTH]
    return page.render(
        facts,
        charts=_charts(facts),
        interval=charts.interval,
        swatch=charts.swatch,
        kinds=SEGMENTS,
        scale=scale,
        recall_headings=[f"R@{depth}" for depth in depths],
        recalls=lambda row: [decimal(row.get(f"recall@{depth}")) for depth in depths],
    )


def scale(rows: Sequence[Mapping[str, Any] | None]) -> tuple[float, float]:
    """The ends of an axis that holds these means and intervals."""
    edges = [edge for row in rows if row for edge in (row["mean"], *(row["ci"] or ()))]
    return min(edges, default=0.0), max(edges, default=1.0)


def _charts(facts: Mapping[str, Any]) -> dict[str, Markup]:
    """The images, by the name the template calls them; one that has nothing to show is not there."""
    return {name: image for make in (_split, _market, _learning, _quality) for name, image in make(facts).items()}


def _split(facts: Mapping[str, Any]) -> dict[str, Markup]:
    split, first = facts["split"], facts["range"].get("notice_published_at")
    if not split or not first:
        return {}
    start = datetime.fromisoformat(first[0]).replace(tzinfo=UTC).timestamp()
    edges = [start, split["validation_from"], split["cutoff"], split["test_before"]]
    words = [f"{day_of(int(edge))}{what}" for edge, what in zip(edges, EDGES, strict=True)]
    title = "Training, validation and test window on the axis of time"
    return {"split": charts.spans(title, list(pairwise(edges)), list(zip(edges, words, strict=True)))}


def _market(facts: Mapping[str, Any]) -> dict[str, Markup]:
    months = facts["market"]["months"]
    if not months:
        return {}
    draw = partial(charts.columns, labels=[row["month"] for row in months])
    return {
        "notices": draw("Notices by month of publication", values=[row["notices"] for row in months], y_name="notices"),
        "bids": draw("Bids by month of opening", values=[row["bids"] for row in months], y_name="bids", number=1),
    }


def _learning(facts: Mapping[str, Any]) -> dict[str, Markup]:
    """The curve holds two trainings, one after the other: the second, of everything before the cutoff, starts anew."""
    curve = facts["curve"]
    if not curve:
        return {}
    named = {"chosen on validation": [], "anew on everything": []}  # type: dict[str, list[dict[str, Any]]]
    for epoch in curve:
        named["chosen on validation" if "validation_recall@100" in epoch else "anew on everything"].append(epoch)

    def drawn(key: str) -> list[Line]:
        return [
            Line(name, [epoch["epoch"] + 1 for epoch in of], [epoch.get(key) for epoch in of])
            for name, of in named.items()
        ]

    return {
        "loss": charts.lines("Loss by epoch", drawn("loss"), "epoch", "loss"),
        "validation": charts.lines(
            "Recall at 100 on the validation window by epoch", drawn("validation_recall@100")[:1], "epoch", "Recall@100"
        ),
    }


def _quality(facts: Mapping[str, Any]) -> dict[str, Markup]:
    found = {}
    if facts["calibration"]:
        bins = facts["calibration"]["bins"]
        line = Line("candidates", [one["predicted"] for one in bins], [one["observed"] for one in bins])
        title = "Share of candidates that bid, by the probability they were given"
        found["reliability"] = charts.lines(title, [line], "probability", "share that bid", same_scale=True)
    for mode, weeks in facts["by_week"].items():
        names = [name for name in (facts["ranker"], facts["baseline"]["name"] if facts["baseline"] else None) if name]
        series = [
            Line(name, [one["week"] for one in weeks], [one["recall@100"].get(name) for one in weeks]) for name in names
        ]
        found[f"weeks {mode}"] = charts.lines(f"Recall at 100 by week, {mode}", series, "week", "Recall@100")
    return found
