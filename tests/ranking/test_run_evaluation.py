"""What the evaluation of a run tells beside its rankings; whole evaluations run in tests/e2e."""

import numpy as np
import pytest

from bidrec.config import Config, Evaluation, Ranking
from bidrec.ranking.baselines import fit_baselines
from bidrec.ranking.counts import Fields
from bidrec.ranking.eligibility import Eligibility
from bidrec.ranking.ground_truth import Truth
from bidrec.ranking.reranker import FinalRanker, Once
from bidrec.ranking.run_evaluation import _calibration, _Rankers
from tests.ranking.sets import DAY, training_set
from tests.ranking.worlds import (
    ASKED,
    COMPANIES,
    FIELDS,
    PUBLISHED,
    TITLES,
    TODAY,
    blend,
    evidence,
)


def test_the_probabilities_are_held_against_who_bid_and_bidders_that_were_no_candidates_count_as_bidders():
    """Notice 7 has bidders 1 and 3, notice 9 has bidder 2; company 3 was no candidate."""
    truth = Truth(
        0, 1, np.array([7, 9]), np.zeros(2, int), np.array([0, 0, 1]), np.array([1, 3, 2]), 0, np.zeros(4, int)
    )
    pairs = np.array([0, 0, 1, 1]), np.array([1, 2, 1, 2]), np.array([2.0, -2.0, -2.0, 2.0], np.float32)
    found = _calibration(truth, pairs, blend([1.0]))
    likely = 1 / (1 + np.exp(-2))
    assert found["brier"] == pytest.approx((1 - likely) ** 2)
    assert (found["pairs"], found["brier_of_base_rate"]) == (4, 1 / 4)
    assert (found["expected_bidders"], found["bidders"]) == (pytest.approx(1.0), 3 / 2)


def test_the_expected_bidders_stand_beside_those_among_the_candidates_who_alone_could_be_expected():
    """Of three bidders on two notices one was no candidate: no probability, however true, adds up to it."""
    truth = Truth(
        0, 1, np.array([7, 9]), np.zeros(2, int), np.array([0, 0, 1]), np.array([1, 3, 2]), 0, np.zeros(4, int)
    )
    pairs = np.array([0, 1]), np.array([1, 2]), np.array([9.0, 9.0], np.float32)
    found = _calibration(truth, pairs, blend([1.0]))
    assert found["expected_bidders"] == pytest.approx(found["bidders_among_candidates"], abs=1e-3)
    assert (found["bidders_among_candidates"], found["bidders"]) == (1.0, 1.5)


@pytest.mark.parametrize("half_life", [Evaluation().backoff_half_life, 5.0])
def test_rivals_have_their_own_half_life_whether_or_not_the_second_stage_has_counted_by_the_same(half_life):
    known = {(0, 0): 5, (1, 0): 2, (1, 1): 7, (2, 2): 6, (4, 1): 3}
    ts = training_set(PUBLISHED, [(*pair, day) for pair, day in known.items()], FIELDS, TITLES, COMPANIES)
    ranking = Ranking(half_life=half_life)
    final = Once(FinalRanker(evidence(known, settings=ranking), blend([1.0]), ranking), ASKED)
    rankers = _Rankers(
        Config(ranking=ranking), ts, None, Fields.of(ts), final.ranker.blend, Eligibility(ts, ()), oracle={}
    )
    found = rankers.period(slice(0, len(ASKED)), TODAY * DAY, final).rankers
    expected = fit_baselines(ts, Fields.of(ts), TODAY * DAY, Evaluation())
    assert set(found) == {"final", "towers"} | set(expected)
    for name, ranker in expected.items():
        np.testing.assert_array_equal(found[name].scores(ASKED), ranker.scores(ASKED))
