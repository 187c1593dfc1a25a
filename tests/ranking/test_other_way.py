import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidrec.ranking import company_side
from bidrec.ranking.company_side import OtherWay
from bidrec.ranking.eligibility import Eligible, Rule
from bidrec.ranking.ground_truth import Truth

QUERIES, COMPANIES = 24, 8


def truth_of(pairs):
    """Bids (notice, company), each once."""
    pairs = sorted(set(pairs))
    query, company = (np.array([pair[at] for pair in pairs], np.int64) for at in range(2))
    nobody, begin = np.zeros(COMPANIES, np.int64), np.zeros(QUERIES, np.int64)
    return Truth(0, 1, np.arange(QUERIES), begin, query, company, 0, nobody)


def recall(truth, known_P, scores_QC, queries, k):
    """Over every company with a known bid in the period: the share of these bids among the k best notices."""
    found = []
    for company in range(COMPANIES):
        bids = {
            int(q) - queries.start
            for q, c, known in zip(truth.query, truth.company, known_P, strict=True)
            if c == company and known and queries.start <= q < queries.stop
        }
        if bids:
            best = np.argsort(-scores_QC[queries, company], kind="stable")[:k]
            found.append(len(bids & {int(row) for row in best}) / len(bids))
    return found


@given(
    st.sets(st.tuples(st.integers(0, QUERIES - 1), st.integers(0, COMPANIES - 1)), min_size=1),
    st.integers(0, 1000),
    st.sampled_from([(QUERIES,), (12, 12), (7, 0, 17)]),
)
def test_recall_is_that_of_a_plain_loop_over_companies_and_periods(pairs, seed, lengths):
    truth, draw = truth_of(pairs), np.random.default_rng(seed)
    known_P = draw.random(len(truth.company)) < 0.8
    scores_QC = draw.integers(0, 9, (QUERIES, COMPANIES)).astype(np.float32)  # ties as well
    made, expected, expected_50, open_notices, start = OtherWay(truth), [], [], [], 0
    for length in lengths:
        queries = slice(start, start + length)
        active_A = made.begin(queries, known_P)
        made.add("model", scores_QC[queries][:, active_A])
        expected += recall(truth, known_P, scores_QC, queries, 10)
        expected_50 += recall(truth, known_P, scores_QC, queries, 50)
        open_notices += [length] * (len(expected) - len(open_notices))
        start += length
    result = made.result(10, 7, "model", "rolling")
    if not expected:
        assert result is None
        return
    assert result["queries"] == len(expected)
    assert result["open_notices"] == result["eligible_notices"] == pytest.approx(np.mean(open_notices))
    row = result["metrics"]["rolling"]["model"]
    assert (row["recall@10"], row["recall@50"]) == pytest.approx((np.mean(expected), np.mean(expected_50)))


def test_how_many_of_the_notices_a_company_may_bid_on_is_told_because_the_others_are_never_listed():
    """Company 0 bids and may bid on notice 0 alone, company 1 on every second one: 1 and 12 of the 24."""
    standings = pa.array([["north"], ["south"]])
    limits = pa.array([["north"], ["south"], ["west"]])
    of_notice = np.where(np.arange(QUERIES) == 0, 0, np.where(np.arange(QUERIES) % 2 == 1, 1, 2))
    eligible = Eligible((Rule.of(limits, standings),), of_notice, np.array([0, 1, *[0] * (COMPANIES - 2)]))
    made = OtherWay(truth_of([(0, 0), (1, 1)]))
    active = made.begin(slice(0, QUERIES), np.ones(2, bool), eligible)
    made.add("model", np.zeros((QUERIES, len(active)), np.float32))
    found = made.result(10, 7, "model", "rolling")
    assert (found["open_notices"], found["eligible_notices"]) == (QUERIES, (1 + QUERIES / 2) / 2)


def test_the_best_rival_is_named_by_recall_among_the_first_ten():
    truth = truth_of([(q, 0) for q in range(3)])
    made = OtherWay(truth)
    active = made.begin(slice(0, QUERIES), np.ones(3, bool))
    for name, sign in (("final", -1), ("knn", -1), ("popularity", 1)):
        made.add(name, (sign * np.arange(QUERIES, dtype=np.float32))[:, None][:, [0] * len(active)])
    result = made.result(10, 7, "final", "rolling")
    assert result["best_baseline"] == "knn"
    assert result["difference"]["metric"] == "recall@10"
    assert result["metrics"]["rolling"]["popularity"]["recall@10"] == 0


def test_where_there_is_too_much_to_hold_every_nth_company_is_looked_at(monkeypatch):
    monkeypatch.setattr(company_side, "MOST_SCORES", QUERIES * 5)
    truth = truth_of([(q, q % COMPANIES) for q in range(QUERIES)])
    made = OtherWay(truth)
    active = made.begin(slice(0, QUERIES), np.ones(QUERIES, bool))
    assert active.tolist() == [0, 2, 4, 6]
    made.add("model", np.zeros((QUERIES, 4), np.float32))
    assert made.result(10, 7, "model", "rolling")["queries"] == 4
