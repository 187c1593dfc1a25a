"""What people are shown of the test window: which notices, whom, and with which probability."""

import numpy as np
import pytest

from bidrec.config import Ranking
from bidrec.ranking import run_evaluation as shown
from bidrec.ranking.ground_truth import Truth
from bidrec.ranking.reranker import FinalRanker
from bidrec.ranking.run_evaluation import examples
from tests.ranking.sets import DAY
from tests.ranking.worlds import ASKED, COMPANIES, NOTICES, blend, evidence

# Company 0 has bid on everything, 1 and 2 once each.
KNOWN = {(notice, 0): 5 for notice in range(6)} | {(0, 1): 6, (2, 2): 6}
NOTICE_IDS = [f"n{row}" for row in range(NOTICES)]
COMPANY_IDS = [f"c{row}" for row in range(COMPANIES)]


def truth_of(notices, bids):
    """`bids`: (position in notices, company row)."""
    query, company = (np.array([bid[at] for bid in sorted(bids)]) for at in range(2))
    published_at, known_bids = np.full(len(notices), 9 * DAY), np.zeros(COMPANIES, np.int64)
    return Truth(8 * DAY, 10 * DAY, notices, published_at, query, company, 0, known_bids)


def described(exposure=0.0, candidates=9, truth=None):
    ranking = Ranking(candidates=candidates, exposure=exposure)
    final = FinalRanker(evidence(KNOWN, settings=ranking), blend([0.1]), ranking)
    known_C = np.arange(COMPANIES) < 4
    asked = truth or truth_of(ASKED, [(0, 0), (0, 4), (1, 2)])
    return examples(final, asked, known_C, NOTICE_IDS, COMPANY_IDS), final


def probabilities(of):
    return {(one["notice_id"], each["company_id"]): each["probability"] for one in of for each in one["companies"]}


def test_a_notice_is_shown_with_who_is_listed_and_who_of_them_bid():
    found, _ = described()
    assert [(one["notice_id"], one["bidders"], one["found@10"], one["found@100"]) for one in found] == [
        ("n6", 2, 1, 1),  # company 4 is no candidate
        ("n7", 1, 1, 1),
    ]
    assert [sorted(each["company_id"] for each in one["companies"]) for one in found] == [["c0", "c1", "c2", "c3"]] * 2
    assert [[each["company_id"] for each in one["companies"] if each["bid"]] for one in found] == [["c0"], ["c2"]]


def test_a_probability_is_that_of_the_pair_whatever_its_exposure_costs_a_company_in_the_list():
    plain, final = described()
    held_back, _ = described(exposure=1.0)
    assert probabilities(held_back) == probabilities(plain)
    query, company, score = final.pairs(ASKED)
    expected = 1 / (1 + np.exp(-score.astype(np.float64)))
    for notice, of, probability in zip(ASKED[query], company, expected, strict=True):
        assert probabilities(plain)[f"n{notice}", f"c{of}"] == pytest.approx(probability, abs=1e-4)
    of_first = [[each["company_id"] for each in of[0]["companies"]] for of in (plain, held_back)]
    assert of_first == [["c0", "c1", "c2", "c3"], ["c1", "c2", "c0", "c3"]]


def test_who_stands_after_the_candidates_is_shown_without_a_chance():
    found, _ = described()
    assert {probability for (_, company), probability in probabilities(found).items() if company == "c3"} == {0.0}


def test_of_many_notices_some_are_shown_from_the_first_to_the_last(monkeypatch):
    monkeypatch.setattr(shown, "NOTICES", 3)
    every = np.arange(NOTICES - 1)
    found, _ = described(truth=truth_of(every, [(query, 0) for query in every]))
    assert [one["notice_id"] for one in found] == ["n0", "n3", "n6"]
