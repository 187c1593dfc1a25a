"""What is made of several runs' evaluations; the runs themselves are made in tests/e2e/test_backtest.py."""

from datetime import date
from typing import Any

import pytest

from bidrec.backtest import result_of, summary

MODES = ("frozen", "rolling")


def evaluation(final: float, baselines: dict[str, float], weeks: dict[int, tuple[int, float]]) -> dict[str, Any]:
    """A metrics.json in which every metric of a ranker is the same; weeks: number -> notices, final's recall."""
    reached = {"final": final, "towers": final - 0.1, "oracle": 1.0} | baselines
    table = {name: dict.fromkeys(("recall@100", "recall@10", "ndcg@10"), value) for name, value in reached.items()}
    course = [
        {"week": week, "notices": notices, "recall@100": reached | {"final": recall}}
        for week, (notices, recall) in weeks.items()
    ]
    return {
        "run": "id",
        "window": {"notices": sum(notices for notices, _ in weeks.values())},
        "baselines": list(baselines),
        "metrics": dict.fromkeys(MODES, table),
        "by_week": dict.fromkeys(MODES, course),
    }


SPRING = result_of(date(2025, 3, 1), evaluation(0.6, {"knn": 0.5, "counts": 0.3}, {1: (10, 0.7), 2: (30, 0.5)}))
SUMMER = result_of(date(2025, 6, 1), evaluation(0.8, {"knn": 0.4, "counts": 0.6}, {1: (30, 0.9), 3: (10, 0.7)}))


def test_the_best_baseline_is_each_cutoffs_own() -> None:
    assert (SPRING["baseline"]["rolling"], SUMMER["baseline"]["rolling"]) == ("knn", "counts")
    assert SPRING["metrics"]["rolling"]["best_baseline"]["ndcg@10"] == 0.5
    assert [week["best_baseline"] for week in SUMMER["by_week"]["rolling"]] == [0.6, 0.6]


def test_mean_and_spread_count_every_cutoff_the_same() -> None:
    spread = summary([SPRING, SUMMER])["summary"]["frozen"]["final"]["recall@100"]
    assert spread == pytest.approx({"mean": (0.6 + 0.8) / 2, "sd": (2 * 0.1**2) ** 0.5, "min": 0.6, "max": 0.8})
    assert summary([SPRING])["summary"]["frozen"]["final"]["recall@10"] == {
        "mean": 0.6,
        "sd": None,
        "min": 0.6,
        "max": 0.6,
    }


def test_a_weeks_recall_is_the_mean_over_its_notices_at_all_cutoffs_that_have_it() -> None:
    first, second, third = summary([SPRING, SUMMER])["by_week"]["rolling"]
    assert (first["week"], first["cutoffs"], first["notices"]) == (1, 2, 40)
    assert first["final"] == pytest.approx((10 * 0.7 + 30 * 0.9) / 40)
    assert first["best_baseline"] == pytest.approx((10 * 0.5 + 30 * 0.6) / 40)
    assert (second["week"], second["cutoffs"], second["final"]) == (2, 1, 0.5)
    assert (third["week"], third["notices"], third["final"]) == (3, 10, pytest.approx(0.7))
