from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidrec.ranking.metrics import NOT_LISTED, ceiling_ranks, depths_of, of_the_lists, per_notice, ranks_of

# Three notices. The first has bidders 3 and 4, listed first and third; the second has 5, not listed; the third has
# 1, listed second, and 9, which was unknown at the time.
LISTED = np.array([[3, 0, 4], [1, 2, 3], [0, 1, -1]])
QUERY = np.array([0, 0, 1, 2, 2])
COMPANY = np.array([3, 4, 5, 1, 9])
KNOWN = np.array([True, True, True, True, False])


@pytest.fixture
def values():
    return per_notice(ranks_of(LISTED, QUERY, COMPANY), QUERY, KNOWN, 3, (1, 2))


def test_a_bid_has_the_place_of_its_company_in_the_list_of_its_notice():
    assert ranks_of(LISTED, QUERY, COMPANY).tolist() == [0, 2, NOT_LISTED, 1, NOT_LISTED]


def test_recall_counts_listed_bidders_among_all_bidders(values):
    assert values["recall@1"].tolist() == [1 / 2, 0, 0]
    assert values["recall@2"].tolist() == [1 / 2, 0, 1 / 2]
    assert values["recall@100"].tolist() == [2 / 2, 0, 1 / 2]


def test_hr_is_one_where_any_bidder_is_among_the_first_ten(values):
    assert values["hr@10"].tolist() == [1, 0, 1]


def test_ndcg_compares_with_all_bidders_listed_first(values):
    ideal = 1 + 1 / log2(3)
    assert values["ndcg@10"] == pytest.approx([(1 + 1 / log2(4)) / ideal, 0, (1 / log2(3)) / ideal])


def test_ndcg_is_one_for_ten_hits_of_more_than_ten_bidders():
    query, company = np.zeros(12, np.int64), np.arange(12)
    listed = np.arange(12)[None, :]
    ranks = ranks_of(listed, query, company)
    assert per_notice(ranks, query, np.ones(12, bool), 1, (10,))["ndcg@10"] == pytest.approx([1])


def test_mrr_is_one_over_the_place_of_the_first_bidder(values):
    assert values["mrr"].tolist() == [1 / 1, 0, 1 / 2]


def test_mrr_and_the_parts_of_recall_look_at_a_hundred_places_however_long_the_list_is():
    values = per_notice(np.array([100, 99]), np.array([0, 1]), np.array([True, True]), 2, (200,))
    assert values["mrr"].tolist() == [0, 1 / 100]
    assert values["recall@200"].tolist() == [1, 1]
    assert values["warm_recall@100"].tolist() == [0, 1]


def test_warm_recall_leaves_unknown_bidders_out_and_cold_recall_known_ones(values):
    assert values["warm_recall@100"].tolist() == [2 / 2, 0 / 1, 1 / 1]
    np.testing.assert_equal(values["cold_recall@100"], [np.nan, np.nan, 0 / 1])


def test_notices_with_one_and_with_several_bidders_are_told_apart(values):
    np.testing.assert_equal(values["single_recall@100"], [np.nan, 0, np.nan])
    np.testing.assert_equal(values["multi_recall@100"], [1, np.nan, 1 / 2])


def test_the_ceiling_lists_known_bidders_first_and_unknown_ones_nowhere():
    query, known = np.array([0, 0, 0, 1, 2, 2]), np.array([True, False, True, False, True, True])
    assert ceiling_ranks(query, known).tolist() == [0, NOT_LISTED, 1, NOT_LISTED, 0, 1]


def test_coverage_is_the_share_of_candidates_that_are_listed():
    candidates = np.array([True, True, True, True, True, False])
    assert of_the_lists(LISTED, candidates, np.zeros(6, int))["coverage@10"] == 5 / 5
    assert of_the_lists(LISTED[2:], candidates, np.zeros(6, int))["coverage@10"] == 2 / 5


def test_only_the_first_ten_of_a_list_are_shown():
    found = of_the_lists(np.arange(12)[None, :], np.ones(12, bool), np.arange(12))
    # The long tail are rows 0 to 8.
    assert (found["coverage@10"], found["long_tail_share@10"]) == (10 / 12, 9 / 10)
    assert found["gini@10"] == pytest.approx(2 / 12)


def test_the_long_tail_is_the_four_fifths_of_candidates_with_the_fewest_bids():
    candidates, bids = np.ones(5, bool), np.array([9, 1, 1, 1, 1])
    assert of_the_lists(LISTED, candidates, bids)["long_tail_share@10"] == 6 / 8
    # Of equals the higher rows are: all but the first of five.
    assert of_the_lists(np.array([[0, 1]]), candidates, np.ones(5, int))["long_tail_share@10"] == 1 / 2


def test_lists_without_anybody_cover_nothing():
    nobody = {"coverage@10": 0.0, "long_tail_share@10": 0.0, "gini@10": 0.0}
    assert of_the_lists(np.array([[-1, -1]]), np.zeros(3, bool), np.zeros(3, int)) == nobody


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_the_gini_of_exposure_is_half_the_mean_difference_between_two_candidates_over_their_mean(times):
    listed = np.repeat(np.arange(len(times)), times)[:, None]
    found = of_the_lists(listed, np.ones(len(times), bool), np.zeros(len(times), int))["gini@10"]
    differences = np.abs(np.subtract.outer(times, times)).mean()
    assert found == pytest.approx(differences / (2 * np.mean(times)) if sum(times) else 0)


@st.composite
def rankings(draw):
    """Lists of different companies each, and for each notice a set of bidders that is not empty."""
    queries, companies = draw(st.integers(1, 5)), draw(st.integers(1, 15))
    listed = [draw(st.permutations(range(companies)))[: draw(st.integers(0, companies))] for _ in range(queries)]
    bidders = [draw(st.sets(st.integers(0, companies + 3), min_size=1)) for _ in range(queries)]
    return listed, bidders, companies


def by_loop(listed: list[int], bidders: set[int]) -> dict[str, float]:
    hits = [place for place, company in enumerate(listed, start=1) if company in bidders]
    ideal = sum(1 / log2(place + 1) for place in range(1, min(10, len(bidders)) + 1))
    return {
        "recall@3": sum(place <= 3 for place in hits) / len(bidders),
        "hr@10": float(any(place <= 10 for place in hits)),
        "ndcg@10": sum(1 / log2(place + 1) for place in hits if place <= 10) / ideal,
        "mrr": 1 / hits[0] if hits else 0.0,
    }


@given(rankings())
def test_every_metric_is_that_of_a_plain_loop_over_lists_and_sets(ranking):
    listed, bidders, companies = ranking
    table = np.array([[*companies_of, *[-1] * (companies - len(companies_of))] for companies_of in listed])
    query = np.array([at for at, of_notice in enumerate(bidders) for _ in of_notice])
    company = np.array([one for of_notice in bidders for one in sorted(of_notice)])
    values = per_notice(ranks_of(table, query, company), query, company < companies, len(listed), (3,))
    for at in range(len(listed)):
        assert {name: values[name][at] for name in by_loop([], {0})} == pytest.approx(by_loop(listed[at], bidders[at]))


@given(rankings())
def test_no_ranking_beats_the_ceiling(ranking):
    _, bidders, companies = ranking
    query = np.array([at for at, of_notice in enumerate(bidders) for _ in of_notice])
    company = np.array([one for of_notice in bidders for one in sorted(of_notice)])
    known = company < companies
    everybody = np.tile(np.arange(companies), (len(bidders), 1))
    reached = per_notice(ranks_of(everybody, query, company), query, known, len(bidders), (3,))
    best = per_notice(ceiling_ranks(query, known), query, known, len(bidders), (3,))
    assert all((reached[name] <= best[name] + 1e-12).all() for name in ("recall@3", "recall@100", "ndcg@10", "mrr"))


@given(st.lists(st.integers(1, 300), min_size=1, max_size=5))
def test_the_depths_of_recall_are_told_from_the_figures_whatever_was_asked_for(ks):
    ranks, query = np.array([0, 4]), np.array([0, 0])
    values = per_notice(ranks, query, np.ones(2, bool), 1, tuple(ks))
    assert depths_of(values) == sorted({*ks, 10, 100})
