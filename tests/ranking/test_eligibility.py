from dataclasses import replace

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.config import Evaluation, Ranking
from bidrec.publishing.lists import best_of_both
from bidrec.publishing.today import Today, Vectors
from bidrec.ranking.eligibility import Eligibility, Rule
from bidrec.ranking.evaluate import Period, evaluate_periods
from bidrec.ranking.ground_truth import Truth
from bidrec.ranking.reranker import FinalRanker
from tests.ranking.sets import DAY, training_set
from tests.ranking.worlds import ASKED, COMPANIES, COMPANY_CD, NOTICE_ND, blend, evidence

NOTICES, FIRMS = 5, 6
WORDS = st.lists(st.sampled_from("abcd"), unique=True)
LIMIT = st.tuples(st.none() | WORDS.filter(len), st.none() | WORDS.filter(len))
"""Regions and licences, NULL for anybody."""
STANDING = st.tuples(st.none() | WORDS.map(lambda words: words[:1]).filter(len), st.none() | WORDS)
PROFILES = st.dictionaries(st.tuples(st.integers(0, FIRMS - 1), st.integers(0, 9)), STANDING)
"""(company, day it became known) -> standing."""


def planted(ts, limits, profiles):
    """The training set and who may bid on what in it: `limits` of each notice, `profiles` as PROFILES."""
    keys = sorted(profiles)
    ts = replace(
        ts,
        notice_limits=np.arange(len(limits), dtype=np.int32),
        profile_company=np.array([company for company, _ in keys], np.int32),
        profile_known_at=np.array([day for _, day in keys], np.int64) * DAY,
        profile_standing=np.arange(1, len(keys) + 1, dtype=np.int32),  # 0: nothing is known
    )
    standings = [(None, None), *(profiles[key] for key in keys)]
    lists = pa.list_(pa.string())
    rules = (
        Rule.of(pa.array([row[at] for row in limits], lists), pa.array([row[at] for row in standings], lists))
        for at in range(2)
    )
    return ts, Eligibility(ts, tuple(rules))


def may_bid(limit, standing):
    return all(
        wanted is None or held is None or bool(set(wanted) & set(held))
        for wanted, held in zip(limit, standing, strict=True)
    )


def newest(profiles, company, before):
    known = [day for firm, day in profiles if firm == company and day < before]
    return profiles[company, max(known)] if known else (None, None)


@settings(max_examples=100)
@given(st.lists(LIMIT, min_size=NOTICES, max_size=NOTICES), PROFILES, st.integers(0, 10), st.data())
def test_who_may_bid_is_what_a_plain_loop_over_the_profiles_known_before_the_moment_says(limits, profiles, day, data):
    ts, eligibility = planted(training_set([0] * NOTICES, [], companies=FIRMS), limits, profiles)
    eligible = eligibility.as_of(day * DAY)
    notices = np.array(data.draw(st.lists(st.integers(0, NOTICES - 1))), np.int64)
    companies = np.array(data.draw(st.lists(st.integers(0, FIRMS - 1))), np.int64)
    expected = np.array(
        [[may_bid(limit, newest(profiles, company, day)) for company in range(FIRMS)] for limit in limits]
    )
    np.testing.assert_array_equal(eligible.mask(notices), expected[notices])
    np.testing.assert_array_equal(eligible.mask(notices, companies), expected[notices][:, companies])
    some = np.array(
        data.draw(st.lists(st.integers(0, FIRMS - 1), min_size=2 * len(notices), max_size=2 * len(notices)))
    )
    some = some.astype(np.int64).reshape(len(notices), 2)
    np.testing.assert_array_equal(eligible.pairs(notices[:, None], some), expected[notices[:, None], some])
    np.testing.assert_array_equal(eligible.pairs(notices, some[:, 0]), expected[notices, some[:, 0]])
    assert Eligibility.of(ts, Ranking(eligibility=False)).as_of(day * DAY).mask(notices).all()


# Company 0 has bid on everything, the notices that are asked about (6 and 7) are for others: 6 for its region's
# neighbours, 7 for those with a licence it does not hold. Company 1 may bid on 7 only, 2 on both.
KNOWN = {(notice, 0): 5 for notice in range(6)} | {(0, 1): 6, (2, 2): 6}
LIMITS = [(None, None)] * 6 + [(["south"], None), (None, ["road", "water"])]
STANDINGS = {(0, 0): (["north"], ["bridge"]), (1, 0): (["north"], ["road"]), (2, 0): (["south"], None)}
FORBIDDEN = {(6, 0), (6, 1), (7, 0)}


def market():
    bids = [(*pair, day) for pair, day in KNOWN.items()]
    return planted(training_set([0, 0, 1, 1, 2, 2, 9, 9], bids, companies=COMPANIES), LIMITS, STANDINGS)


def final_ranker():
    made = evidence(KNOWN, eligibility=market()[1])
    assert made.known.tolist() == [0, 1, 2]
    return FinalRanker(made, blend([1.0]), Ranking(candidates=9))


def test_planted_pairs_that_may_not_be_are_no_candidates_and_in_no_list_of_either_direction():
    final = final_ranker()
    notice, company, _ = final.pairs(ASKED)
    assert {(int(ASKED[n]), int(c)) for n, c in zip(notice, company, strict=True)} == {(6, 2), (7, 1), (7, 2)}
    vectors = Vectors(0, [], NOTICE_ND, [], COMPANY_CD[:3])
    today = Today(vectors, final, np.arange(len(NOTICE_ND)), np.arange(3), final.evidence.eligible)
    to_companies, to_notices = best_of_both(today, ASKED, 10)
    assert [sorted(row[row >= 0].tolist()) for row in to_companies[0]] == [[2], [1, 2]]
    assert [sorted(ASKED[row[row >= 0]].tolist()) for row in to_notices[0]] == [[], [7], [6, 7]]


def test_planted_bids_that_may_not_be_are_misses_for_every_ranker_in_both_directions():
    class Knowing:
        """Puts those who bid first, whether they may or not."""

        def scores(self, notice_rows):
            return np.array([[(row, c) in BIDS for c in range(COMPANIES)] for row in notice_rows], np.float32)

    BIDS = {(6, 0), (6, 2), (7, 0), (7, 2)}
    truth = Truth(
        lo=8 * DAY,
        hi=10 * DAY,
        notices=ASKED,
        published_at=np.array([8, 9]) * DAY,
        query=np.array([0, 0, 1, 1]),
        company=np.array([0, 2, 0, 2]),
        without_bids=0,
        known_bids=np.array([6, 1, 1, 0, 0]),
    )
    final, known = final_ranker(), np.array([True, True, True, False, False])
    rankers = {"final": final, "knowing": Knowing()}
    for eligible, share in ((final.evidence.eligible, 1 / 2), (None, 1)):
        whole = [Period(slice(0, 2), rankers, known, eligible)]
        found = evaluate_periods(whole, truth, Evaluation(bootstrap=5), model="final", other_way=True)
        table = found["metrics"]["rolling"]
        assert table["knowing"]["recall@100"] == table["ceiling"]["recall@100"] == share
        assert table["final"]["recall@100"] == share
        assert table["knowing"]["warm_recall@100"] == share
        # Company 0 finds neither of its notices, company 2 both.
        assert found["for_companies"]["metrics"]["rolling"]["knowing"]["recall@50"] == share


def test_notices_without_limits_have_the_ranking_that_nothing_masks():
    bids = [(*pair, day) for pair, day in KNOWN.items()]
    ts = training_set([0, 0, 1, 1, 2, 2, 9, 9], bids, companies=COMPANIES)
    _, unlimited = planted(ts, [(None, None)] * 8, STANDINGS)
    masked, plain = (
        FinalRanker(evidence(KNOWN, eligibility=chosen), blend([1.0, -2.0]), Ranking(candidates=9))
        for chosen in (unlimited, Eligibility(ts, ()))
    )
    np.testing.assert_array_equal(masked.scores(ASKED), plain.scores(ASKED))
    for one, other in zip(masked.pairs(ASKED), plain.pairs(ASKED), strict=True):
        np.testing.assert_array_equal(one, other)
