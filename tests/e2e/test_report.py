"""The page of a run: made from a real one, from an older or spoilt one, and looked at in a browser."""

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from bidrec import flow
from bidrec.config import Config
from bidrec.reporting.describe import describe_run
from bidrec.reporting.facts import gather
from bidrec.reporting.model_card import card_of, write_card
from bidrec.reporting.page import html
from bidrec.runs.found import find
from bidrec.runs.run import Run
from bidrec.storage.sealed import read_json, read_manifest, write_json
from bidrec.training.loop import CHANCE
from jobs.cli import main
from tests.browser import AXE, Page, browser, needs_axe, needs_chromium
from tests.outline import Outline

HOSTILE = "<script>alert(1)</script>\"' onload='alert(2)' {{ 7 * 7 }} &amp; 도로 🙂"
A4 = 718
"""Width of a sheet without its margins, in CSS pixels."""


@pytest.fixture(scope="module")
def facts(config: Config) -> dict[str, Any]:
    return gather(config, find(config.home_path))


def test_training_leaves_a_page_that_is_one_small_whole_file(config: Config) -> None:
    path = find(config.home_path).folder / "report.html"
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_size < 3_000_000
    outline = Outline(text)
    assert outline.open == []
    assert not {"script", "img", "iframe"} & {tag for tag, _ in outline.tags}
    assert [attributes["href"] for tag, attributes in outline.tags if tag == "link"] == ["data:,"]
    assert not any((attributes.get("href") or "#").startswith("http") for _, attributes in outline.tags)
    assert "@import" not in text
    assert "url(" not in text


def test_every_part_is_there_in_order_warnings_first_and_headings_skip_no_level(facts: dict[str, Any]) -> None:
    outline = Outline(html(facts))
    parts = [attributes["id"] for tag, attributes in outline.tags if tag == "h2"]
    assert parts[:3] == ["warnings", "headline", "data"]
    assert parts == [
        str(attributes["href"]).removeprefix("#")
        for tag, attributes in outline.tags
        if tag == "a" and attributes.get("href") != "#main"
    ]
    levels = [int(tag[1]) for tag, _ in outline.tags if tag in ("h1", "h2", "h3")]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert "Not there" not in outline.words


def test_every_chart_says_what_to_read_from_it_and_has_a_name(facts: dict[str, Any]) -> None:
    tags = [tag for tag, _ in Outline(html(facts)).tags]
    assert tags.count("figure") == tags.count("figcaption") >= 8
    named = [attributes for tag, attributes in Outline(html(facts)).tags if tag == "svg" and "role" in attributes]
    assert len(named) == tags.count("figure")
    assert all(attributes["aria-label"] for attributes in named)


def test_the_figures_are_those_of_the_metrics_and_of_the_tables(config: Config, facts: dict[str, Any]) -> None:
    run = find(config.home_path)
    metrics, home = run.metrics(), config.home_path
    words = " ".join(Outline(html(facts)).words.split())
    assert f"{100 * metrics['metrics']['frozen']['final']['recall@100']:.1f}" in words
    assert f"{100 * metrics['difference']['mean']:+.1f} points" in words
    for table, time in (("notice", "published_at"), ("bid", "known_at")):
        before = f"SELECT count(*) FROM '{home}/lake/{table}/*.parquet' WHERE {time} < to_timestamp(?)"
        counted = duckdb.execute(before, [facts["split"]["test_before"]]).fetchone()
        for by in ("months", "regions"):
            assert (sum(row[f"{table}s"] for row in facts["market"][by]),) == counted
    for rows in metrics["segments"].values():
        key = "notices" if "notices" in rows[0] else "bids"
        assert sum(row[key] for row in rows) == metrics["window"][key]
    given = duckdb.execute(f"SELECT count(*) FROM '{home}/lake/notice/*.parquet'").fetchone()
    assert given == (facts["market"]["refused"]["notice"]["given"],)


def test_a_segments_means_add_up_to_the_metric_of_the_whole_window(config: Config) -> None:
    metrics = find(config.home_path).metrics()
    for kind in ("region", "category", "value", "bidders"):
        rows = metrics["segments"][kind]
        for ranker in ("final", "towers", metrics["best_baseline"]):
            total = sum(row["notices"] * row["recall@100"][ranker] for row in rows)
            assert total / metrics["window"]["notices"] == pytest.approx(
                metrics["metrics"]["frozen"][ranker]["recall@100"]
            )


def test_an_example_marks_who_bid_and_counts_nothing_known_later_than_the_cutoff(config: Config) -> None:
    facts = gather(config, find(config.home_path))
    cutoff = facts["split"]["cutoff"]
    bids = f"read_parquet('{config.home_path}/lake/bid/*.parquet')"
    assert len(facts["examples"]) == 20
    for example in facts["examples"]:
        bidders = {row[0] for row in duckdb.execute(
            f"SELECT company_id FROM {bids} WHERE notice_id = ?", [example["notice_id"]]
        ).fetchall()}  # fmt: skip
        assert example["bidders"] == len(bidders)
        for company in example["companies"]:
            assert company["bid"] == (company["company_id"] in bidders)
            assert 0 <= company["probability"] <= 1
    notice, company = next(
        (example["notice_id"], one)
        for example in facts["examples"]
        for one in example["companies"]
        if "to this office" in one["why"]
    )
    office = f"SELECT notice_id, coalesce(unit, buyer_id) AS office FROM '{config.home_path}/lake/notice/*.parquet'"
    at_office = duckdb.execute(
        f"""WITH notice AS ({office}) SELECT count(*) FROM {bids} JOIN notice USING (notice_id)
            WHERE company_id = $company AND known_at < to_timestamp($cutoff)
              AND office = (SELECT office FROM notice WHERE notice_id = $notice)""",
        {"company": company["company_id"], "cutoff": cutoff, "notice": notice},
    ).fetchone()
    assert (int(company["why"].split()[0]),) == at_office
    named = [f"{one['buyer']}, for {one['unit']}" for one in facts["examples"] if one["unit"]]
    assert named
    assert all(name in Outline(html(facts)).words for name in named)


def test_what_the_page_says_of_the_epoch_the_windows_and_the_days_is_what_was_done(facts: dict[str, Any]) -> None:
    words = " ".join(Outline(html(facts)).words.split())
    assert f"The last epoch within {CHANCE} of the highest point was chosen." in words
    eve = datetime.fromtimestamp(facts["split"]["cutoff"], UTC) - timedelta(days=1)
    assert f"as of {eve:%Y-%m-%d}, the day before the cutoff" in words
    counted = sum(window["bids"] for window in facts["windows"].values())
    assert 0 < counted < facts["rows"]["pairs"]  # and so not all of the pairs are learned from or tested on
    assert "to learn from" not in words


def test_words_of_the_data_are_only_ever_words(facts: dict[str, Any]) -> None:
    examples = [
        {
            **one,
            "title": HOSTILE,
            "buyer": HOSTILE,
            "unit": HOSTILE,
            "companies": [{**one["companies"][0], "name": HOSTILE}],
        }
        for one in facts["examples"]
    ]
    regions = [{**row, "region": HOSTILE} for row in facts["market"]["regions"]]
    segments = {kind: [{**row, "segment": HOSTILE} for row in rows] for kind, rows in facts["segments"].items()}
    refused = {"notice": {"given": 1, "quarantined": 1, "reasons": {HOSTILE: 1}}}
    spoilt = {
        **facts,
        "examples": examples,
        "segments": segments,
        "warnings": [HOSTILE],
        "market": {**facts["market"], "regions": regions, "refused": refused, "notes": [HOSTILE], "source": HOSTILE},
    }
    page = html(spoilt)
    outline = Outline(page)
    assert outline.open == []
    assert "script" not in {tag for tag, _ in outline.tags}
    assert not {name for _, attributes in outline.tags for name in attributes if name.startswith("on")}
    assert outline.words.count(HOSTILE) > 20
    assert '<span lang="ko">도로</span>' in page


def measured_at(value: Any, depths: tuple[int, ...]) -> Any:
    """The same figures as a run with these evaluation.top_k has them, wherever a ranker's stand."""
    if isinstance(value, list):
        return [measured_at(one, depths) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {name: measured_at(one, depths) for name, one in value.items() if name not in ("recall@10", "recall@50")}
    return kept | ({f"recall@{depth}": value["recall@10"] for depth in depths} if "hr@10" in value else {})


@pytest.mark.parametrize("depths", [(10,), (7, 10, 250)])
def test_the_page_has_the_recalls_that_were_measured_and_no_others(
    facts: dict[str, Any], depths: tuple[int, ...]
) -> None:
    rankers = {name: measured_at(facts[name], depths) for name in ("metrics", "model", "baseline")}
    text = html({**facts, **rankers, "for_companies": None})
    assert re.findall(r">(R@\d+)</th>", text.partition('id="metrics"')[2].partition("</thead>")[0]) == [
        "R@100",
        *(f"R@{depth}" for depth in depths),
    ]
    assert Outline(text).open == []


def without_intervals(value: Any) -> Any:
    """The same figures as a run with evaluation.bootstrap = 0 has them."""
    if isinstance(value, list):
        return [without_intervals(one) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {name: without_intervals(one) for name, one in value.items()}
    if "ci" in kept:
        kept["ci"] = dict.fromkeys(value["ci"]) if isinstance(value["ci"], dict) else None
    return kept


def test_a_run_measured_without_intervals_says_so_on_its_page_and_card(facts: dict[str, Any], tmp_path: Path) -> None:
    bare = without_intervals(facts)
    outline = Outline(html(bare))
    assert outline.open == []
    words = " ".join(outline.words.split())
    assert "(Recall@100; without an interval, since evaluation.bootstrap is 0)" in words
    assert "points (without an interval" in words
    assert words.count("no interval") >= len(facts["metrics"]["frozen"])
    write_card(Run(tmp_path), bare)
    card = (tmp_path / "model_card.md").read_text(encoding="utf-8")
    assert "(without an interval)" in card
    assert "| none |" in card


ABSENT = [
    "segments",
    "calibration",
    "examples",
    "audit",
    "split",
    "for_companies",
    "baseline",
    "difference",
]


@pytest.mark.parametrize(
    "part", [*ABSENT, "curve", "exposure", "by_week", "windows", "rows", "packages", "seconds", "range"]
)
def test_a_page_lives_without_any_of_its_parts(facts: dict[str, Any], part: str) -> None:
    empty: Any = [] if part == "curve" else {} if part not in ABSENT else None
    changes: dict[str, Any] = {part: empty}
    if part == "baseline":
        changes["by_week"] = {}
    outline = Outline(html({**facts, **changes}))
    assert outline.open == []
    said = {"for_companies", "by_week", "windows", "rows", "packages", "seconds", "exposure"}
    assert ("Not there:" in outline.words) == (part not in said)


def test_an_older_run_in_a_home_without_features_says_what_is_not_there(copy: Config) -> None:
    run = find(copy.home_path)
    (run.folder / "details.json").unlink()
    metrics = run.metrics()
    for later in ("segments", "calibration", "by_week", "for_companies", "rolling_difference"):
        del metrics[later]
    del metrics["metrics"]["rolling"]
    for row in metrics["metrics"]["frozen"].values():
        row.pop("gini@10", None)
    write_json(run.folder / "metrics.json", metrics)
    (run.training_set / "statistics.json").unlink()
    for gone in ("features", "lake", "quarantine", "published"):
        shutil.rmtree(copy.home_path / gone)
    outline = Outline(describe_run(copy, run)["report"].read_text(encoding="utf-8"))
    assert outline.open == []
    for words in ("no calibrated second stage", "a rolling evaluation", "bidrec evaluate"):
        assert words in outline.words
    assert "nothing of how its fields have shifted" in outline.words
    assert "training_set/ is damaged" in outline.words


def test_a_home_whose_tables_have_gone_tells_the_examples_by_their_ids(copy: Config) -> None:
    shutil.rmtree(copy.home_path / "features")
    run = find(copy.home_path)
    first = read_json(run.folder / "details.json")["examples"][0]
    words = Outline(html(gather(copy, run))).words
    assert first["notice_id"] in words
    assert first["companies"][0]["company_id"] in words


def test_the_runs_beside_it_are_told_with_which_of_them_compare(copy: Config) -> None:
    run = find(copy.home_path)
    shutil.copytree(run.folder, run.folder.with_name("29990101T000000Z-abcdef"))
    later = find(copy.home_path)
    metrics = later.metrics() | {"run": later.id, "inputs": "other tables"}
    write_json(later.folder / "metrics.json", metrics)
    rows = gather(copy, run)["runs"]
    assert [(row["run"], row["this"], row["published"], row["same_test"]) for row in rows] == [
        (run.id, True, True, True),
        (later.id, False, False, False),
    ]


def test_a_page_that_cannot_be_made_is_a_warning_and_the_run_stays_finished(copy: Config) -> None:
    run = find(copy.home_path)
    (run.folder / "report.html").unlink()
    (run.folder / "report.html").mkdir()
    (run.folder / "report.html" / "something").touch()
    with capture_logs() as logged:
        flow.describe(copy, run)
    (warning,) = [entry for entry in logged if entry["log_level"] == "warning"]
    assert warning["event"] == "the run's page could not be made"
    assert warning["hint"] == f"bidrec report {run.id}"
    assert find(copy.home_path).id == run.id


def test_the_command_writes_the_page_of_the_newest_run_and_names_it(copy: Config) -> None:
    run = find(copy.home_path)
    page = run.folder / "report.html"
    page.unlink()
    done = CliRunner().invoke(main, ["report"], env={"BIDREC_HOME": copy.home})
    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip().endswith(page.as_uri())
    assert page.is_file()
    assert (run.folder / "model_card.md").is_file()


@pytest.mark.parametrize("unfinished", [False, True])
def test_a_run_that_is_not_there_or_not_finished_is_missing_input(copy: Config, unfinished: bool) -> None:
    asked = "20990101T000000Z-000000"
    if unfinished:
        asked = find(copy.home_path).id
        (Run(copy.home_path / "runs" / asked).folder / "manifest.json").unlink()
    refused = CliRunner().invoke(main, ["report", asked], env={"BIDREC_HOME": copy.home})
    assert refused.exit_code == 66
    assert f"no finished run {asked}" in refused.stderr
    assert "hint: bidrec train makes one; bidrec runs lists them" in refused.stderr


def test_the_page_is_told_by_the_runs_manifest_that_it_is_published(config: Config, facts: dict[str, Any]) -> None:
    manifest = read_manifest(config.home_path / "published" / "current")
    assert manifest
    assert facts["published"] == (manifest["run"] == facts["run"])


def test_the_card_says_the_same_to_people_and_to_programs(config: Config, facts: dict[str, Any]) -> None:
    folder = find(config.home_path).folder
    card, text = read_json(folder / "model_card.json"), (folder / "model_card.md").read_text(encoding="utf-8")
    assert card["kind"] == "model_card"
    for part in ("Use", "Not for:", "Data", "Metrics", "Limits", "Licence", "Reproduce"):
        assert part in text
    final = card["metrics"]["rankers"]["frozen"]["final"]
    assert final["recall@100"] == facts["model"]["recall@100"]
    assert f"| final | {final['recall@100']:.3f} |" in text
    assert all(words in text for words in (*card["limits"], *card["use"], *card["not_for"], card["run"]))
    assert "invented" in card["limits"][0]
    assert "url" not in card["reproduce"]["configuration"]["source"]
    assert "\n\n\n" not in text


def test_a_card_lives_without_what_an_older_run_lacks(facts: dict[str, Any], tmp_path: Path) -> None:
    lacking = dict.fromkeys(("blend", "split", "audit", "calibration", "baseline", "difference", "parameters"))
    card = card_of({**facts, **lacking, "windows": {}, "range": {}})
    assert card["model"]["signals"] is None
    assert card["data"]["split"] is None
    write_card(Run(tmp_path), {**facts, **lacking, "windows": {}, "range": {}})
    text = (tmp_path / "model_card.md").read_text(encoding="utf-8")
    assert "Leak audit: none is recorded." in text
    assert "Lead over" not in text


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture(scope="module")
def page(config: Config) -> Path:
    return describe_run(config, find(config.home_path))["report"]


@needs_chromium
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (360, False), (360, True)])
def test_the_page_asks_for_nothing_complains_of_nothing_and_fits_the_screen(
    tab: Page, page: Path, width: int, dark: bool
) -> None:
    tab.problems.clear()
    tab.requested.clear()
    tab.open(page, width=width, dark=dark)
    assert tab.run("document.documentElement.scrollWidth") == width
    paper = tab.run("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(13, 17, 23)" if dark else "rgb(255, 255, 255)")
    assert tab.problems == []
    assert tab.requested == [page.as_uri()]


@needs_chromium
def test_on_paper_no_table_is_cut_off_at_the_edge(tab: Page, page: Path) -> None:
    tab.open(page, width=A4)
    tab.ask("Emulation.setEmulatedMedia", media="print")
    tab.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    beyond = f"[...document.querySelectorAll('table')].filter(one => one.getBoundingClientRect().right > {A4})"
    assert tab.run(f"{beyond}.map(one => one.caption.textContent)") == []
    tab.ask("Emulation.setEmulatedMedia", media="")


@needs_chromium
def test_on_paper_the_ink_is_dark_and_the_columns_are_explained_whatever_the_screen_shows(
    tab: Page, page: Path
) -> None:
    tab.open(page, width=A4)
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    tab.ask("Emulation.setEmulatedMedia", media="print", features=[dark])
    assert tab.run("getComputedStyle(document.body).color") == "rgb(27, 31, 36)"
    shown = "[...document.querySelectorAll('details')].filter(one => one.lastElementChild.checkVisibility())"
    assert tab.run(f"{shown}.map(one => one.className)") == ["meanings"]
    tab.run("document.querySelectorAll('details')[0].open = true")
    assert tab.run(f"{shown}.length") == 2
    tab.ask("Emulation.setEmulatedMedia", media="", features=[])


@needs_chromium
def test_a_legend_shows_a_line_as_the_chart_does_and_no_two_lines_are_told_apart_by_colour_alone(
    tab: Page, page: Path
) -> None:
    tab.open(page)
    drawn = "one => (style => [style.stroke, style.strokeDasharray].join())(getComputedStyle(one))"
    for figure in range(int(tab.run("document.querySelectorAll('figure').length"))):
        of = f"document.querySelectorAll('figure')[{figure}]"
        lines, keys = (
            tab.run(f"[...{of}.querySelectorAll('{where} .line')].map({drawn})") for where in (".chart", ".legend")
        )
        assert keys in ([], lines)
        assert len(lines) < 2 or keys == lines
        assert len({key.rpartition(")")[2] for key in lines}) == len(lines)
    assert tab.run("document.querySelectorAll('.legend .line').length") >= 6


@needs_chromium
@needs_axe
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (360, False)])
def test_axe_finds_no_violation(tab: Page, page: Path, width: int, dark: bool) -> None:
    tab.open(page, width=width, dark=dark)
    tab.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    tab.run(AXE.read_text(encoding="utf-8") + ";0")
    found = tab.run("axe.run().then(found => found.violations.map(one => [one.id, one.nodes[0].html]))")
    assert found == []


@needs_chromium
def test_the_keyboard_reaches_the_report_its_figures_and_every_table_that_scrolls(tab: Page, page: Path) -> None:
    tab.open(page, width=360)
    tab.press("Tab")
    assert tab.run("document.activeElement.className") == "skip"
    tab.press("Enter")
    assert tab.run("document.activeElement.id") == "main"
    tab.press("Tab")
    assert tab.run("document.activeElement.getAttribute('role')") == "region"
    scrolling = "[...document.querySelectorAll('.scroll')].filter(one => one.scrollWidth > one.clientWidth)"
    assert tab.run(f"{scrolling}.length") > 0
    assert tab.run(f"{scrolling}.every(one => one.tabIndex === 0 && one.getAttribute('aria-label'))")
