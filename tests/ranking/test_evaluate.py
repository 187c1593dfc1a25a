import weakref
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bidrec.config import Evaluation
from bidrec.ranking.evaluate import NOBODY, Period, by_week, evaluate_periods, rank_and_read
from bidrec.ranking.ground_truth import Truth
from tests.ranking.whole_window import evaluate

SETTINGS = Evaluation(bootstrap=200)
EVERYBODY = np.ones(4, bool)
# Notice 5 with bidders 0 and 3, notice 7 with bidder 1.
TRUTH = Truth(
    lo=0,
    hi=86_400,
    notices=np.array([5, 7]),
    published_at=np.array([100, 200]),
    query=np.array([0, 0, 1]),
    company=np.array([0, 3, 1]),
    without_bids=2,
    known_bids=np.array([4, 3, 2, 1]),
)


@dataclass
class Table:
    """Scores by notice row."""

    of: dict[int, list[float]]

    def scores(self, notice_rows):
        return np.array([self.of[int(row)] for row in notice_rows], np.float32)


PERFECT = Table({5: [2, 0, 0, 3], 7: [0, 9, 0, 0]})
SAME_FOR_ALL = Table({5: [4, 3, 2, 1], 7: [4, 3, 2, 1]})
REVERSED = Table({5: [0, 9, 8, 0], 7: [7, 0, 8, 9]})


def test_every_ranker_gets_its_row_with_intervals_and_the_ceiling_comes_last():
    result = evaluate({"final": PERFECT, "popularity": SAME_FOR_ALL}, TRUTH, EVERYBODY, SETTINGS, model="final")
    table = result["metrics"]["frozen"]
    assert list(table) == ["final", "popularity", "ceiling"]
    assert table["final"]["mrr"] == 1
    assert table["popularity"]["mrr"] == 1 / 2 * (1 + 1 / 2)
    assert table["popularity"]["ci"]["mrr"] == [1 / 2, 1]
    assert table["final"]["coverage@10"] == 4 / 4
    assert "coverage@10" not in table["ceiling"]


def test_a_thinned_window_says_of_how_many_notices_it_is_a_part():
    window = evaluate({"final": PERFECT}, TRUTH.thinned(1), EVERYBODY, SETTINGS, model="final")["window"]
    assert (window["notices"], window["notices_with_bids"], window["bids"]) == (1, 2, 2)
    whole = evaluate({"final": PERFECT}, TRUTH, EVERYBODY, SETTINGS, model="final")["window"]
    assert "notices_with_bids" not in whole


def test_progress_counts_the_lists_of_all_rankers_over_all_periods():
    rankers = {"final": PERFECT, "popularity": SAME_FOR_ALL}
    periods = [Period(slice(0, 1), rankers, EVERYBODY), Period(slice(1, 2), rankers, EVERYBODY)]
    with capture_logs() as logs:
        evaluate_periods(periods, TRUTH, SETTINGS, model="final")
    told = [one["done"] for one in logs if one["event"] == "ranking, rolling"]
    assert told == ["1/4", "2/4", "3/4", "4/4"]


def test_the_rankers_of_a_period_are_let_go_before_those_of_the_next_are_made():
    made = []

    def periods():
        for queries in (slice(0, 1), slice(1, 2)):
            assert not [ranker for ranker in made if ranker()]
            ranker = replace(PERFECT)
            made.append(weakref.ref(ranker))
            period = Period(queries, {"final": ranker}, EVERYBODY)
            del ranker
            yield period
            del period

    evaluate_periods(periods(), TRUTH, SETTINGS, model="final")
    assert len(made) == 2


def test_the_window_says_how_many_notices_had_no_bid_and_how_many_bids_are_cold():
    window = evaluate({"final": PERFECT}, TRUTH, np.array([True, True, True, False]), SETTINGS, model="final")["window"]
    assert window["notices"] == 2
    assert window["without_bids"] == 2
    assert window["candidates"] == 3
    assert window["cold_share"] == pytest.approx(1 / 3)
    assert (window["from"], window["until"]) == ("1970-01-01T00:00:00+00:00", "1970-01-02T00:00:00+00:00")


def test_a_company_that_is_no_candidate_is_never_listed_and_its_bid_is_a_miss_for_everyone():
    candidates = np.array([True, True, True, False])
    (found,) = rank_and_read([PERFECT], TRUTH.notices, candidates, 10, NOBODY)
    assert found.listed_QK.tolist() == [[0, 1, 2, -1], [1, 0, 2, -1]]
    table = evaluate({"final": PERFECT}, TRUTH, candidates, SETTINGS, model="final")["metrics"]["frozen"]
    for name in ("final", "ceiling"):
        assert table[name]["recall@100"] == 1 / 2 * (1 / 2 + 1)
        assert table[name]["warm_recall@100"] == 1
        assert table[name]["cold_recall@100"] == 0


def test_the_best_baseline_is_named_and_the_model_compared_with_it_notice_by_notice():
    settings = replace(SETTINGS, top_k=(1,))
    rankers = {"final": PERFECT, "towers": PERFECT, "reversed": REVERSED, "popularity": SAME_FOR_ALL, "oracle": PERFECT}
    result = evaluate(rankers, TRUTH, EVERYBODY, settings, model="final")
    assert result["baselines"] == ["reversed", "popularity"]
    # Both find everybody among four companies: of equals the first is taken.
    assert result["best_baseline"] == "reversed"
    assert result["difference"]["mean"] == 0
    assert result["difference"]["by_metric"]["recall@1"]["mean"] == 1 / 2 * (1 / 2 + 1) - 0
    assert result["difference"]["by_metric"]["recall@1"]["ci"] == [1 / 2, 1]


def test_a_bidder_beyond_the_hundredth_place_counts_where_a_larger_k_is_asked_for():
    truth = replace(TRUTH, company=np.array([104, 3, 1]), known_bids=np.zeros(150, np.int64))
    by_row = Table({row: [-float(company) for company in range(150)] for row in (5, 7)})
    settings = replace(SETTINGS, top_k=(10, 120))
    row = evaluate({"final": by_row}, truth, np.ones(150, bool), settings, model="final")["metrics"]["frozen"]["final"]
    assert row["recall@100"] == (1 / 2 + 1) / 2
    assert row["recall@120"] == 1


def test_segments_look_at_a_hundred_places_and_at_the_lead_over_the_best_baseline():
    """Company 104 is one place too far down for the model; the rival lists it, and nobody else, first."""
    truth = replace(TRUTH, company=np.array([50, 104, 1]), known_bids=np.zeros(150, np.int64))
    by_row, rival = (
        Table({row: [-float((c - first) % 150) for c in range(150)] for row in (5, 7)}) for first in (4, 104)
    )
    rankers, everybody = {"final": by_row, "knn": rival}, np.ones(150, bool)
    whole = [Period(slice(0, 2), rankers, everybody)]
    labels = {"region": np.array(["north", "south"])}
    found = evaluate_periods(whole, truth, SETTINGS, model="final", segments=labels)["segments"]
    (bids,) = found["company"]
    assert bids["recall@100"] == {"final": 1 / 3, "knn": 3 / 3}
    assert [row["difference"]["mean"] for row in found["region"]] == [1 / 2 - 1, 0 - 1]


def test_without_a_model_or_without_baselines_nothing_is_compared():
    alone = evaluate({"final": PERFECT}, TRUTH, EVERYBODY, SETTINGS, model="final")
    assert (alone["best_baseline"], alone["difference"]) == (None, None)
    baselines = evaluate({"popularity": SAME_FOR_ALL}, TRUTH, EVERYBODY, SETTINGS, model="final")
    assert (baselines["best_baseline"], baselines["difference"]) == ("popularity", None)


def test_one_company_only_is_found_by_everyone():
    truth = replace(TRUTH, query=np.array([0, 1]), company=np.array([0, 0]), known_bids=np.array([2]))
    one = Table({5: [1.0], 7: [0.0]})
    table = evaluate({"final": one}, truth, np.array([True]), SETTINGS, model="final")["metrics"]["frozen"]
    for name in ("recall@10", "recall@50", "recall@100", "hr@10", "ndcg@10", "mrr", "coverage@10"):
        assert table["final"][name] == 1


def test_where_nobody_is_known_everything_is_missed():
    table = evaluate({"final": PERFECT}, TRUTH, np.zeros(4, bool), SETTINGS, model="final")["metrics"]["frozen"]
    assert table["final"]["recall@100"] == table["ceiling"]["recall@100"] == 0
    assert table["final"]["coverage@10"] == 0
    assert table["final"]["warm_recall@100"] is None


def test_a_metric_that_is_undefined_for_every_notice_is_null():
    row = evaluate({"final": PERFECT}, TRUTH, EVERYBODY, SETTINGS, model="final")["metrics"]["frozen"]["final"]
    assert row["cold_recall@100"] is None
    assert row["ci"]["cold_recall@100"] is None


def test_the_blocks_notices_are_ranked_in_change_nothing(monkeypatch):
    for at_once in (1, 1 << 23):
        monkeypatch.setattr("bidrec.ranking.evaluate.SCORES_AT_ONCE", at_once)
        (found,) = rank_and_read([REVERSED], TRUTH.notices, EVERYBODY, 2, np.array([3]))
        assert found.listed_QK.tolist() == [[1, 2], [3, 2]]
        assert found.read_QA.tolist() == [[0], [9]]


def test_a_ranker_that_gives_nan_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        evaluate({"final": Table({5: [np.nan, 1, 2, 3], 7: [0, 0, 0, 0]})}, TRUTH, EVERYBODY, SETTINGS, model="final")


def test_rankers_renewed_during_the_window_are_measured_as_one_ranking():
    """Notice 5 in the first period, 7 in the second: each is ranked by its own period's ranker."""
    periods = [
        Period(slice(0, 1), {"final": PERFECT}, EVERYBODY),
        Period(slice(1, 2), {"final": REVERSED}, EVERYBODY),
    ]
    table = evaluate_periods(periods, TRUTH, SETTINGS, model="final")["metrics"]["rolling"]
    assert table["final"]["mrr"] == (1 + 1 / 4) / 2


def test_a_company_that_becomes_known_during_the_window_is_cold_before_and_warm_after():
    """Company 1 bids on notice 7 and is known from the second period on; company 3 bids on notice 5, too early."""
    early, late = np.array([True, False, True, False]), np.array([True, True, True, True])
    periods = [Period(slice(0, 1), {"final": PERFECT}, early), Period(slice(1, 2), {"final": PERFECT}, late)]
    result = evaluate_periods(periods, TRUTH, SETTINGS, model="final")
    assert result["window"]["candidates"] == 4
    assert result["window"]["cold_share"] == pytest.approx(1 / 3)
    assert result["metrics"]["rolling"]["ceiling"]["recall@100"] == (1 / 2 + 1) / 2
    assert result["metrics"]["rolling"]["final"]["recall@100"] == (1 / 2 + 1) / 2


WEEK = 7 * 86_400


@given(st.lists(st.tuples(st.integers(0, 4 * WEEK - 1), st.floats(0, 1)), min_size=1).map(sorted))
def test_a_weeks_recall_is_the_mean_over_the_notices_published_in_it(published):
    begin = 1_704_067_200
    times, values = (np.array(column) for column in zip(*published, strict=True))
    truth = replace(TRUTH, lo=begin, notices=np.arange(len(times)), published_at=begin + times.astype(np.int64))
    expected = {}
    for time, value in published:
        expected.setdefault(1 + time // WEEK, []).append(value)
    weeks = by_week(truth, {"final": values})
    assert {week["week"]: week["notices"] for week in weeks} == {number: len(of) for number, of in expected.items()}
    for week in weeks:
        assert week["recall@100"]["final"] == pytest.approx(fmean(expected[week["week"]]))


def test_each_week_is_told_for_every_ranker_also_where_they_are_renewed():
    """Notice 5 in the first week, ranked by one ranker; notice 7 in the third, by another that knows one company."""
    truth = replace(TRUTH, hi=3 * WEEK, published_at=np.array([0, 2 * WEEK]))
    periods = [
        Period(slice(0, 1), {"final": PERFECT}, EVERYBODY),
        Period(slice(1, 2), {"final": PERFECT}, np.array([True, False, False, False])),
    ]
    found = evaluate_periods(periods, truth, SETTINGS, model="final")["by_week"]["rolling"]
    assert found == [
        {"week": 1, "notices": 1, "recall@100": {"final": 1.0, "ceiling": 1.0}},
        {"week": 3, "notices": 1, "recall@100": {"final": 0.0, "ceiling": 0.0}},
    ]
