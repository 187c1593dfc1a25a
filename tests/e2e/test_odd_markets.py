"""Markets that no market is like, taken through the whole flow: what is odd costs figures, never the run."""

import json
import math
from pathlib import Path
from typing import Any

import duckdb
from structlog.testing import capture_logs

from bidrec import flow
from bidrec.config import Config, Evaluation, Publish, Source, Split, Training
from bidrec.publishing.recommend import Published
from bidrec.reporting.facts import gather
from bidrec.runs.found import find
from bidrec.training_set.arrays import TrainingSet
from tests.e2e.markets import SMALL
from tests.e2e.test_readme import ROOT

FIRST = "TIMESTAMP '2024-01-01 10:00'"
SUPPLIERS = """SELECT 500 + i AS tax_number, DATE '2010-01-01' AS registered, NULL AS town, NULL AS staff
    FROM range(30) t(i)"""


def trained(home: Path, tenders: str, offers: str) -> tuple[Config, TrainingSet, dict[str, Any]]:
    """A run on these tables of examples/own_tables: columns of the tenders that are not given are empty."""
    dumps = home / "dumps"
    dumps.mkdir(parents=True)
    for name, rows in (("tenders", tenders), ("offers", offers), ("suppliers", SUPPLIERS)):
        duckdb.execute(f"COPY ({rows}) TO '{dumps}/{name}.parquet'")
    config = Config(
        home=str(home),
        source=Source(name=str(ROOT / "examples" / "own_tables"), path=str(dumps)),
        split=Split(test_days=40, validation_days=40),
        model=SMALL,
        training=Training(epochs=1),
        evaluation=Evaluation(bootstrap=20),
        publish=Publish(margin=1.0, top_k=5),
    )
    run = flow.train(config)
    return config, TrainingSet.open(run.training_set), run.metrics()


def test_notices_of_which_nothing_is_known_with_the_same_title_and_one_bidder_everywhere(tmp_path: Path) -> None:
    tenders = f"""SELECT 'T' || i AS number, {FIRST} + to_days(i::INTEGER) AS published,
        published + to_days(3) AS deadline, 'Works' AS subject, NULL::VARCHAR AS department, NULL::VARCHAR AS town,
        NULL::DOUBLE AS estimate FROM range(200) t(i)"""
    offers = (
        "SELECT 'T' || i AS tender, 500 AS tax_number, NULL::DOUBLE AS price, NULL AS accepted FROM range(195) t(i)"
    )
    with capture_logs() as logs:
        config, _, metrics = trained(tmp_path, tenders, offers)
    assert metrics["window"]["candidates"] <= 100
    (warning,) = [one for one in logs if "hold all the candidates" in one["event"]]
    assert (warning["log_level"], warning["candidates"]) == ("warning", metrics["window"]["candidates"])
    assert "NDCG@10" in warning["hint"]
    run = find(config.home_path)
    assert any("candidates: lists of 100 hold them all" in one for one in gather(config, run)["warnings"])
    for mode in ("frozen", "rolling"):
        assert {row["recall@10"] for row in metrics["metrics"][mode].values()} == {1.0}
    assert math.isfinite(metrics["calibration"]["brier"])
    flow.publish(config)
    notice = Published(tmp_path).an_open_notice()
    assert notice is not None
    assert Published(tmp_path).companies_for(notice, 5)[1][0]["company_id"] == "500"


def test_a_category_never_seen_no_known_bidder_in_the_test_window_and_ten_thousand_bids_in_a_day(
    tmp_path: Path,
) -> None:
    """Supplier 500 bids on 10,000 tenders of one day; every tender of the last 60 days has a category of its own kind
    and one bidder that bids once in its life."""
    tenders = f"""SELECT 'T' || i AS number, {FIRST} + to_days(day::INTEGER) AS published,
        published + to_days(3) AS deadline, 'Works' AS subject, 'Roads' AS department, 'Town ' || i % 3 AS town,
        1000 + i AS estimate, CASE WHEN day < 162 THEN 'A' ELSE 'Z' END AS cpv
        FROM (SELECT i, i AS day FROM range(200) t(i) UNION ALL SELECT 200 + i, 50 FROM range(10_000) t(i))"""
    offers = """SELECT 'T' || i AS tender,
            CASE WHEN i >= 200 THEN 500 WHEN i < 140 THEN 501 + (i + j) % 20 ELSE 10_000 + i END AS tax_number,
            900 AS price, true AS accepted
        FROM range(10_200) t(i), range(2) s(j) WHERE j = 0 OR i < 140"""
    _, ts, metrics = trained(tmp_path, tenders, offers)
    category = next(one for one in ts.notice.schema["attributes"] if one["name"] == "category")
    assert category["size"] == 1 + 1  # unknown, and 'A'
    assert (ts.notice_published_at >= ts.cutoff).sum() > 30
    busy = ts.company_ids().index("500")
    assert (ts.log_company == busy).sum() == 10_000
    assert metrics["window"]["cold_share"] == 1.0
    for row in metrics["metrics"]["frozen"].values():
        assert (row["recall@100"], row["warm_recall@100"], row["ci"]["recall@100"]) == (0, None, [0, 0])
    assert metrics["difference"]["mean"] == 0
    assert all(math.isfinite(value) for value in numbers(metrics))
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def numbers(value: Any) -> list[float]:
    """Every number in nested JSON."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, int | float) else []
