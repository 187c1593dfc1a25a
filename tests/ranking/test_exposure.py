import numpy as np
import pytest

from bidrec.ranking import metrics
from bidrec.ranking.ground_truth import Truth
from bidrec.ranking.slices import at_strengths

NOTICES, COMPANIES, LISTED = 150, 60, 40
RANDOM = np.random.default_rng(4)
KNOWN_BIDS = np.sort(RANDOM.zipf(1.6, COMPANIES).clip(max=500))[::-1].copy()
"""A few companies have most of the bids."""


def market():
    """Notices whose bidders are drawn by how much they bid; candidates scored by that and a hint of the truth."""
    chance = KNOWN_BIDS / KNOWN_BIDS.sum()
    bidders = [np.sort(RANDOM.choice(COMPANIES, 4, replace=False, p=chance)) for _ in range(NOTICES)]
    query = np.repeat(np.arange(NOTICES), 4)
    truth = Truth(0, 1, np.arange(NOTICES), np.zeros(NOTICES, np.int64), query, np.concatenate(bidders), 0, KNOWN_BIDS)
    candidates = np.stack([RANDOM.permutation(COMPANIES)[:LISTED] for _ in range(NOTICES)])
    bid = np.stack([np.isin(row, own) for row, own in zip(candidates, bidders, strict=True)])
    score = np.log1p(KNOWN_BIDS)[candidates] + bid + RANDOM.normal(0, 1, candidates.shape)
    pairs = np.repeat(np.arange(NOTICES), LISTED), candidates.ravel(), score.ravel().astype(np.float32)
    return pairs, truth


PAIRS, TRUTH = market()
LASTING_C = np.log1p(KNOWN_BIDS).astype(np.float32)
EVERYBODY = np.ones(COMPANIES, bool)


def test_more_of_it_shows_more_companies_more_evenly_and_costs_some_of_the_order():
    rows = at_strengths(PAIRS, LASTING_C, TRUTH, EVERYBODY, (0.0, 0.3, 1.0))
    assert [row["exposure"] for row in rows] == [0.0, 0.3, 1.0]
    coverage, tail, gini, ndcg = (
        [row[name] for row in rows] for name in ("coverage@10", "long_tail_share@10", "gini@10", "ndcg@10")
    )
    assert tail == sorted(tail)
    assert gini == sorted(gini, reverse=True)
    assert coverage == sorted(coverage)
    assert tail[2] > tail[0] + 0.1
    assert gini[2] < gini[0] - 0.1
    assert ndcg[0] > ndcg[2]


def test_without_any_the_lists_are_those_of_the_scores():
    query, company, score = PAIRS
    listed = [company[query == q][np.argsort(-score[query == q], kind="stable")][:10] for q in range(NOTICES)]
    (row,) = at_strengths(PAIRS, LASTING_C, TRUTH, EVERYBODY, (0.0,))
    assert row == {"exposure": 0.0, **figures(np.stack(listed))}


def figures(listed_QK):
    ranks = metrics.ranks_of(listed_QK, TRUTH.query, TRUTH.company)
    values = metrics.per_notice(ranks, TRUTH.query, np.ones(len(ranks), bool), NOTICES, (10,))
    found = {name: pytest.approx(values[name].mean()) for name in ("recall@10", "ndcg@10")}
    return found | metrics.of_the_lists(listed_QK, EVERYBODY, KNOWN_BIDS)


def test_a_notice_without_candidates_shows_nobody():
    nothing = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
    (row,) = at_strengths(nothing, LASTING_C, TRUTH, EVERYBODY, (0.5,))
    assert (row["recall@10"], row["coverage@10"], row["gini@10"]) == (0, 0, 0)
    assert at_strengths(PAIRS, LASTING_C, TRUTH, EVERYBODY, ()) == []
