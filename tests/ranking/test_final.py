from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.config import Ranking
from bidrec.ranking.reranker import FinalRanker, Once
from tests.ranking.worlds import (
    ASKED,
    COMPANIES,
    COMPANY_CD,
    COUNTED,
    KNOWN,
    LATER,
    NOTICE_ND,
    NOTICES,
    blend,
    evidence,
)

pytestmark = pytest.mark.usefixtures("everything_counts")

WEIGHTS = st.lists(st.floats(-1e5, 1e5, width=32), min_size=1, max_size=10)
EVERY_NOTICE = np.arange(NOTICES)


def ranker(weights, candidates, *bids, **world):
    ranking = Ranking(candidates=candidates)
    return FinalRanker(evidence(*bids, settings=ranking, **world), blend(weights), ranking)


@settings(max_examples=25)
@given(WEIGHTS, KNOWN, LATER)
def test_a_bid_opened_at_or_after_the_moment_changes_no_score(weights, known, later):
    after, before = ranker(weights, 6, known, later), ranker(weights, 6, known)
    np.testing.assert_array_equal(after.scores(ASKED), before.scores(ASKED))


@settings(max_examples=25)
@given(WEIGHTS, KNOWN, st.integers(1, 3 * COMPANIES))
def test_candidates_have_the_score_of_their_pair_and_all_others_come_after_them(weights, known, candidates):
    made = ranker(weights, candidates, known)
    notice, company, score = made.pairs(EVERY_NOTICE)
    assert len(set(zip(notice.tolist(), company.tolist(), strict=True))) == len(notice)
    scores_BC = made.scores(EVERY_NOTICE)
    assert scores_BC.dtype == np.float32
    np.testing.assert_array_equal(scores_BC[notice, company], score)
    looked_at = np.zeros((NOTICES, COMPANIES), bool)
    looked_at[notice, company] = True
    assert scores_BC[looked_at].min(initial=np.inf) > scores_BC[~looked_at].max(initial=-np.inf)
    alone = np.concatenate([made.scores(EVERY_NOTICE[[row]]) for row in EVERY_NOTICE])
    # Rounding near zero moves the logarithm of a count by some 1e-4, which its weight multiplies.
    np.testing.assert_allclose(alone, scores_BC, rtol=1e-3, atol=1e-3 * max(1.0, *map(abs, weights)))


def test_the_others_stand_in_the_order_of_the_towers():
    made = ranker([1.0], 1, {(0, 0): 5, (0, 1): 5, (2, 2): 6, (3, 3): 6, (4, 4): 6})
    scores_BC = made.scores(ASKED)
    for row, notice in enumerate(ASKED):
        company = made.pairs(ASKED)[1][made.pairs(ASKED)[0] == row]
        others = np.setdiff1d(np.arange(COMPANIES), company)
        cosine = COMPANY_CD[others] @ NOTICE_ND[notice]
        assert len(others)
        assert np.argsort(scores_BC[row, others]).tolist() == np.argsort(cosine).tolist()


def test_the_block_changes_nothing(monkeypatch):
    made = ranker([1.0, 2.0], 9, {(0, 0): 5, (0, 1): 5, (2, 2): 6})
    whole, pairs = made.scores(EVERY_NOTICE), made.pairs(EVERY_NOTICE)
    monkeypatch.setattr("bidrec.ranking.reranker.BLOCK", 3)
    np.testing.assert_allclose(made.scores(EVERY_NOTICE), whole, rtol=1e-4)
    for column, other in zip(made.pairs(EVERY_NOTICE), pairs, strict=True):
        np.testing.assert_allclose(column, other, rtol=1e-4)


@settings(max_examples=25)
@given(KNOWN, st.integers(1, NOTICES), st.integers(1, NOTICES))
def test_asked_stretch_by_stretch_it_looks_once_at_the_candidates_and_gives_the_same(known, notices, stretch):
    made, told = ranker([1.0, 2.0], 9, known), []
    rows = EVERY_NOTICE[-notices:]
    once = Once(made, rows, told.append)
    found = [once.scores(rows[start : start + stretch]) for start in range(0, notices, stretch)]
    np.testing.assert_array_equal(np.concatenate(found), made.scores(rows))
    assert sum(told) == notices


def test_it_tells_of_every_notice_that_it_has_looked_at_as_it_goes(monkeypatch):
    monkeypatch.setattr("bidrec.ranking.reranker.BLOCK", 2)
    told = []
    ranker([1.0], 9, {(0, 0): 5}).pairs(np.arange(5), told.append)
    assert told == [2, 2, 1]


@pytest.mark.parametrize("known", [{}, {(0, 3): 5}])
def test_one_known_company_or_none_is_ranked_without_any_field_or_word(known):
    made = ranker([1.0], 900, known, fields={}, titles=[[]] * NOTICES)
    assert made.blend.counted == tuple(COUNTED)
    notice, company, score = made.pairs(ASKED)
    assert sorted(zip(notice.tolist(), company.tolist(), strict=True)) == [(row, 3) for row in (0, 1) if known]
    assert np.isfinite(score).all()
    assert np.isfinite(made.scores(ASKED)).all()


def test_no_notice_has_no_pair():
    made = ranker([1.0], 900, {(0, 3): 5})
    assert [len(column) for column in made.pairs(ASKED[:0])] == [0, 0, 0]
    assert made.scores(ASKED[:0]).shape == (0, COMPANIES)


def test_what_a_notice_s_candidates_have_in_common_is_taken_from_each_and_moves_nobody():
    plain = ranker([1.0, -2.0], 900, {(row, row % 3): 5 for row in range(6)})
    levelled = FinalRanker(plain.evidence, replace(plain.blend, level=0.5), plain.settings)
    (notice, company, score), found = plain.pairs(EVERY_NOTICE), levelled.pairs(EVERY_NOTICE)
    height_Q = np.log(np.bincount(notice, np.exp(score.astype(np.float64))))
    for column, same in zip(found[:2], (notice, company), strict=True):
        np.testing.assert_array_equal(column, same)
    np.testing.assert_allclose(found[2], score - 0.5 * height_Q[notice], rtol=1e-4, atol=1e-4)
    orders = (np.argsort(-one.scores(EVERY_NOTICE), axis=1, kind="stable") for one in (plain, levelled))
    np.testing.assert_array_equal(*orders)


def test_exposure_moves_who_has_bid_much_behind_who_has_not_and_no_score_that_becomes_a_probability():
    known = {(row, 0): 5 for row in range(6)} | {(0, 1): 5}
    plain = ranker([0.0], 900, known)
    held_back = FinalRanker(plain.evidence, plain.blend, Ranking(exposure=0.5))
    for column, other in zip(plain.pairs(ASKED), held_back.pairs(ASKED), strict=True):
        np.testing.assert_array_equal(column, other)
    lost_BC = plain.scores(ASKED) - held_back.scores(ASKED)
    np.testing.assert_allclose(lost_BC[:, :2], np.tile(0.5 * plain.evidence.lasting_C[:2], (2, 1)), rtol=1e-5)
    assert (held_back.scores(ASKED)[:, 1] > held_back.scores(ASKED)[:, 0]).all()
    np.testing.assert_array_equal(lost_BC[:, 2:], 0)
