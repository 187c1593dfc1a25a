import io

import pytest
from click.testing import CliRunner
from rich.console import Console

from bidrec.backtest import RANKERS
from jobs.backtest import BAR, HEADINGS, backtest, bar, tables


@pytest.mark.parametrize(
    ("cutoffs", "said"),
    [
        ("2025-13-01", "2025-01-01,2025-03-01"),
        ("soon", "2025-01-01,2025-03-01"),
        ("2025-01-01,", "2025-01-01,2025-03-01"),
        ("2025-03-01,2025-01-01", "does not ascend"),
        ("2025-03-01,2025-03-01", "does not ascend"),
    ],
)
def test_cutoffs_that_are_no_ascending_days_are_a_usage_error(cutoffs, said):
    refused = CliRunner().invoke(backtest, ["--cutoffs", cutoffs])
    assert refused.exit_code == 2
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("Error:")]
    assert "--cutoffs" in line
    assert said in line
    assert refused.stdout == ""


def test_without_a_source_nothing_is_trained(home):
    refused = CliRunner().invoke(backtest, ["--cutoffs", "2025-01-01"])
    assert refused.exit_code == 66
    assert "no source is configured" in refused.stderr
    assert not home.exists()


def test_a_test_window_of_no_day_is_refused(home):
    refused = CliRunner().invoke(backtest, ["--cutoffs", "2025-01-01", "--test-days", "0"])
    assert refused.exit_code == 64
    assert "split.test_days" in refused.stderr


def test_a_bar_shows_both_figures_and_which_one_is_ahead():
    assert bar(0.75, 0.5, 0.5, 1.0) == "▓" * (BAR // 2)
    assert bar(0.75, 0.625, 0.5, 1.0) == "█" * (BAR // 4) + "▓" * (BAR // 4)
    assert bar(0.625, 0.75, 0.5, 1.0) == "█" * (BAR // 4) + "░" * (BAR // 4)
    assert bar(1.0, 1.0, 0.5, 1.0) == "█" * BAR


def printed(width: int, *weeks: tuple[float, float]) -> str:
    """The tables of one cutoff whose weeks have these figures of final and of the best baseline."""
    modes = ("frozen", "rolling")
    figures = dict.fromkeys(HEADINGS, 0.6123)
    spread = {name: {"mean": 0.6123, "sd": 0.0123, "min": 0.5123, "max": 0.7123} for name in HEADINGS}
    cutoff = {
        "cutoff": "2025-01-01",
        "window": {"notices": 1518},
        "metrics": {mode: dict.fromkeys(RANKERS, figures) for mode in modes},
        "baseline": dict.fromkeys(modes, "place_category"),
    }
    by_week = [
        {"week": number, "notices": 1518, "final": final, "best_baseline": best}
        for number, (final, best) in enumerate(weeks, 1)
    ]
    result = {
        "test_days": 60,
        "cutoffs": [cutoff],
        "summary": {mode: dict.fromkeys(RANKERS, spread) for mode in modes},
        "by_week": {"rolling": by_week},
    }
    file = io.StringIO()
    Console(file=file, width=width).print(tables(result))
    return file.getvalue()


def test_the_tables_fit_a_terminal_of_80_columns_without_a_figure_cut_short():
    text = printed(80, (0.85, 0.82))
    assert "…" not in text
    for whole in ("2025-01-01", "1,518", "0.612", "0.850", "+0.030"):
        assert whole in text


@pytest.mark.parametrize(
    ("figure", "scale", "bars"), [(1.0, "0.95 1.00", 2), (0.85, "0.80 0.85", 2), (0.0, "0.00 0.05", 0)]
)
def test_where_all_weeks_are_alike_their_bars_are_whole_on_a_scale_that_ends_with_what_occurs(figure, scale, bars):
    text = printed(100, (figure, figure), (figure, figure))
    assert scale in " ".join(text.split())
    assert text.count("█" * BAR) == bars
