"""Every table of a run's page and card, and the figures in its sentences, held to the run: all written down anew."""

from collections.abc import Callable
from html.parser import HTMLParser
from random import Random
from typing import Any

import pytest

from bidrec.config import Config
from bidrec.reporting.facts import gather
from bidrec.reporting.model_card import write_card
from bidrec.reporting.page import html
from bidrec.runs.found import find
from bidrec.runs.run import Run
from bidrec.storage.sealed import read_json

REFUSED = {"notice": {"given": 1234, "quarantined": 5, "reasons": {"it is late": 3, "it is none": 2}}}
Rows = list[list[str]]


class Tables(HTMLParser):
    """Caption -> rows of cells, without the headings."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, Rows] = {}
        self.tag, self.words, self.all_words = "", "", ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in ("caption", "tr", "th", "td"):
            self.words = ""
        if tag == "tr":
            self.row: list[str] = []

    def handle_endtag(self, tag: str) -> None:
        if tag == "caption":
            self.rows = self.found.setdefault(self.words, [])
        if tag in ("th", "td"):
            self.row.append(self.words.strip())
        if tag == "tr":
            self.rows.append(self.row)
        if tag == "thead":
            self.rows.clear()

    def handle_data(self, data: str) -> None:
        self.words += data
        self.all_words += data


def whole(number: float) -> str:
    return f"{number:,.0f}"


def three(number: float | None) -> str:
    return "" if number is None else f"{number:.3f}"


def points(share: float | None) -> str:
    return "" if share is None else f"{round(100 * share, 1) + 0.0:+.1f}"


def within(ci: list[float], how: Callable[[float], str] = three) -> str:
    return " to ".join(map(how, ci))


def each(row: dict[str, Any], *names: str) -> list[str]:
    return [three(row.get(name)) for name in names]


def recall(row: dict[str, Any], *rankers: str) -> list[str]:
    return each(row["recall@100"], *rankers)


EXPOSED = ("coverage@10", "long_tail_share@10", "gini@10")


def data_tables(facts: dict[str, Any]) -> dict[str, Rows]:
    rows, market, windows = facts["rows"], facts["market"], facts["windows"]
    of = {"companies": "company", "company profiles": "profile", "company versions": "version", "bids": "log"}
    names = {"notices": "notice", **of, "pairs of a notice and a bidder": "pairs"}
    return {
        "Rows the run was made from": [[words, whole(rows[name])] for words, name in names.items()],
        "Rows given and rows in quarantine, over all ingests": [
            ["notice", "1,234", "5", "it is late: 3; it is none: 2"]
        ],
        "Notices and bids by month": [
            [one["month"], whole(one["notices"]), whole(one["bids"])] for one in market["months"]
        ],
        "Notices and bids by the notice's region": [
            [one["region"], whole(one["notices"]), whole(one["bids"]), f"{one['bids'] / one['notices']:.1f}"]
            for one in market["regions"]
        ],
        "Notices and bids of each window": [
            [name, whole(window["notices"]), whole(window["bids"])] for name, window in windows.items()
        ],
    }


def learning_tables(facts: dict[str, Any]) -> dict[str, Rows]:
    of = {True: " of the first training", False: " anew"}
    return {
        "Epochs": [
            [
                f"{one['epoch'] + 1}{of['validation_recall@100' in one]}",
                *each(one, "loss", "validation_recall@100", "temperature"),
                f"{one['steps_per_second']:.3g}",
            ]
            for one in facts["curve"]
        ],
        "Seconds to rank the test window": [[name, f"{seconds:.2f}"] for name, seconds in facts["seconds"].items()],
    }


def ranker_tables(facts: dict[str, Any]) -> dict[str, Rows]:
    found: dict[str, Rows] = {}
    for mode, rankers in facts["metrics"].items():
        found[f"Every ranker, {mode}; the line is the 95 % interval of Recall@100"] = [
            [
                *(name, three(row["recall@100"]), within(row["ci"]["recall@100"])),
                *each(row, "recall@10", "recall@50", "hr@10", "ndcg@10", "mrr", "warm_recall@100", "coverage@10"),
            ]
            for name, row in rankers.items()
        ]
        found[f"Recall@100 by week, {mode}"] = [
            [str(one["week"]), whole(one["notices"]), *recall(one, "final", facts["baseline"]["name"])]
            for one in facts["by_week"][mode]
        ]
    found["Notices for companies, rolling"] = [
        [name, *each(row, "recall@10", "recall@50", "hr@10", "ndcg@10", "mrr")]
        for name, row in facts["for_companies"]["metrics"]["rolling"].items()
    ]
    found["The first ten of every list, frozen"] = [
        [name, *each(row, *EXPOSED)] for name, row in facts["metrics"]["frozen"].items() if "coverage@10" in row
    ]
    found["What it would cost to show small firms more often: final at several ranking.exposure"] = [
        [f"{row['exposure']:g}", *each(row, "recall@10", "ndcg@10", *EXPOSED)] for row in facts["exposure"]
    ]
    return found


def segment_tables(facts: dict[str, Any]) -> dict[str, Rows]:
    segments, rival = facts["segments"], facts["baseline"]["name"]
    company = "Share of the bids found, by how well the company was known"
    names = {"bidders": "number of bidders", "value": "value", "region": "region", "category": "category"}
    found = {
        company: [
            [row["segment"], whole(row["bids"]), *recall(row, "final", "towers", rival)] for row in segments["company"]
        ]
    }
    for kind, words in names.items():
        found[f"By {words}"] = [
            [
                *(row["segment"], whole(row["notices"]), *recall(row, "final", rival)),
                *((points(lead["mean"]), within(lead["ci"], points)) if (lead := row.get("difference")) else ("", "")),
            ]
            for row in segments[kind]
        ]
    return found


def other_tables(facts: dict[str, Any]) -> dict[str, Rows]:
    return {
        "Reliability": [
            [whole(one["pairs"]), *each(one, "predicted", "observed")] for one in facts["calibration"]["bins"]
        ],
        "The last ten runs and the published one, oldest first": [
            [
                f"{one['run']}this run, published",
                *(one["from"], whole(one["notices"]), three(one["recall@100"]), within(one["ci"])),
                *(points(one["lead"]["mean"]), one["baseline"], "yes"),
            ]
            for one in facts["runs"]
        ],
    }


def apart(value: Any, draw: Random) -> Any:
    """The same with another number in the place of every fraction: in so small a market many are alike."""
    if isinstance(value, dict):
        return {name: apart(one, draw) for name, one in value.items()}
    if isinstance(value, list):
        return [apart(one, draw) for one in value]
    return draw.random() if isinstance(value, float) else value


@pytest.fixture(scope="module")
def facts(config: Config) -> dict[str, Any]:
    found = gather(config, find(config.home_path))
    draw = Random(7)
    figures = ("metrics", "difference", "for_companies", "by_week", "segments", "exposure", "calibration", "runs")
    found |= {name: apart(found[name], draw) for name in figures}
    frozen, rival = found["metrics"]["frozen"], found["baseline"]["name"]
    found |= {"model": frozen["final"], "baseline": {"name": rival, **frozen[rival]}}
    return {**found, "market": {**found["market"], "refused": REFUSED}}


@pytest.fixture(scope="module")
def page(facts: dict[str, Any]) -> Tables:
    return Tables(html(facts))


@pytest.mark.parametrize("part", [data_tables, learning_tables, ranker_tables, segment_tables, other_tables])
def test_each_table_of_the_page_has_the_runs_figures_in_their_columns(
    part: Callable[[dict[str, Any]], dict[str, Rows]], facts: dict[str, Any], page: Tables
) -> None:
    for caption, rows in part(facts).items():
        assert rows
        assert page.found[caption] == rows, caption


def test_no_table_of_the_page_is_forgotten_here(facts: dict[str, Any], page: Tables) -> None:
    parts = (data_tables, learning_tables, ranker_tables, segment_tables, other_tables)
    assert set(page.found) == {caption for part in parts for caption in part(facts)}


def test_the_figures_in_the_sentences_are_the_runs(facts: dict[str, Any], page: Tables) -> None:
    words = " ".join(page.all_words.split())
    model, rival, audit, held = facts["model"], facts["baseline"], facts["audit"], facts["calibration"]
    for said in (
        f"{100 * model['recall@100']:.1f} % of a notice's bidders are among the first 100 of "
        f"{facts['window']['candidates']:,} companies",
        f"The best baseline, {rival['name']}, finds {100 * rival['recall@100']:.1f} %: the model's lead is "
        f"{points(facts['difference']['mean'])} points",
        f"A mean over {facts['window']['notices']} notices",
        f"{audit['violations']} violations in {audit['pairs']:,} pairs, {audit['versions']:,} company versions and "
        f"{audit['fitted_rows']:,} rows",
        f"{held['expected_bidders']:.1f} expected of the candidates, of whom {held['bidders_among_candidates']:.1f} "
        f"did bid; {held['bidders']:.1f} with those who were no candidates, from which the expected number of a notice "
        f"is {held['bidders_mean_absolute_error']:.1f} off on average",
        f"Brier score {held['brier']:.4f}, against {held['brier_of_base_rate']:.4f}",
        f"{facts['for_companies']['queries']:,} lists of {facts['for_companies']['open_notices']:,.0f} notices "
        f"on average, {facts['for_companies']['eligible_notices']:,.0f} of which the company may bid on",
        *(
            f"Of {one['bidders']} bidder{'s' * (one['bidders'] != 1)}, {one['found@10']} in the first 10 and "
            f"{one['found@100']} in the first 100."
            for one in facts["examples"]
        ),
    ):
        assert said in words


def test_the_card_has_the_runs_figures_in_their_columns_and_its_warnings_and_seed(
    facts: dict[str, Any], tmp_path
) -> None:
    settings = {**facts["settings"], "training": {**facts["settings"]["training"], "seed": 12}}
    write_card(Run(tmp_path), {**facts, "settings": settings, "warnings": ["Look out."]})
    card, lines = read_json(tmp_path / "model_card.json"), (tmp_path / "model_card.md").read_text().splitlines()
    assert (card["warnings"], card["reproduce"]["seed"]) == (["Look out."], 12)
    assert "- Warning: Look out." in lines
    for rankers in facts["metrics"].values():
        for name, row in rankers.items():
            figures = each(row, "recall@10", "hr@10", "ndcg@10", "mrr")
            assert (
                f"| {' | '.join([name, three(row['recall@100']), within(row['ci']['recall@100']), *figures])} |"
                in lines
            )
    for name, window in facts["windows"].items():
        assert f"| {name} | {whole(window['notices'])} | {whole(window['bids'])} |" in lines
