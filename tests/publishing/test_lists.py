from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.publishing import lists
from bidrec.publishing.today import Today, Vectors

NOTICES, COMPANIES = 6, 7
# Of a larger training set, whose other notices are not published yet and whose other companies are not known.
NOTICE_ROW, COMPANY_ROW = np.arange(NOTICES) * 2, np.arange(COMPANIES) * 3 + 1
AXES = np.concatenate([np.eye(3), -np.eye(3)]).astype(np.float32)
"""Unit vectors whose products are exact."""


@dataclass
class Scored:
    """The second stage's answer: (notice row, company row) -> score."""

    of: dict[tuple[int, int], float]
    penalty_C: np.ndarray

    def pairs(self, notice_rows, looked_at=None):
        of = sorted(self.of.items())
        found = [(at, c, score) for at, row in enumerate(notice_rows) for (n, c), score in of if n == row]
        return tuple(np.array([pair[at] for pair in found], kind) for at, kind in enumerate((int, int, np.float32)))


@dataclass
class Allowing:
    """Who may bid: all pairs (notice row, company row) but these."""

    but: set[tuple[int, int]]

    def mask(self, notice_rows, company_rows):
        allowed = [[(int(n), int(c)) not in self.but for c in company_rows] for n in notice_rows]
        return np.array(allowed, bool).reshape(len(notice_rows), len(company_rows))


ROWS = st.integers(0, len(AXES) - 1)
PAIRS = st.sets(st.tuples(st.integers(0, NOTICES - 1), st.integers(0, COMPANIES - 1)))
SCORED = st.dictionaries(
    st.tuples(st.integers(0, NOTICES - 1), st.integers(0, COMPANIES - 1)),
    st.integers(-9, 9).map(lambda score: float(np.float32(score / 3))),
)


@settings(max_examples=60)
@given(
    st.lists(ROWS, min_size=NOTICES, max_size=NOTICES),
    st.lists(ROWS, min_size=COMPANIES, max_size=COMPANIES),
    SCORED,
    PAIRS,
    st.sets(st.integers(0, NOTICES - 1)),
    st.integers(1, COMPANIES + 1),
    st.integers(1, 30),
    st.lists(st.integers(0, 5), min_size=COMPANIES, max_size=COMPANIES),
)
def test_both_lists_are_the_head_of_a_full_sort_of_the_dense_scores_of_those_who_may_bid(
    notice, company, scored, barred, is_open, k, at_once, penalty
):
    """The companies of a notice by their scores less the penalties; what is told of a pair is the score itself, the
    same in both directions."""
    vectors = Vectors(0, [], AXES[notice], [], AXES[company])
    open_rows = np.array(sorted(is_open), np.int64)
    scored = {pair: score for pair, score in scored.items() if pair not in barred}
    eligible = Allowing({(int(NOTICE_ROW[n]), int(COMPANY_ROW[c])) for n, c in barred})
    ranker = Scored({(int(NOTICE_ROW[n]), int(COMPANY_ROW[c])): score for (n, c), score in scored.items()}, np.zeros(0))
    penalty_C = np.array(penalty, np.float32) / np.float32(7)
    ranker.penalty_C = np.repeat(penalty_C, 3)  # of all companies of the training set: see COMPANY_ROW
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "SCORES_AT_ONCE", at_once)
        found = lists.best_of_both(Today(vectors, ranker, NOTICE_ROW, COMPANY_ROW, eligible), open_rows, k)
    cosine = vectors.notice_ND @ vectors.company_CD.T

    def dense(penalty_C):
        held_back = {(n, c): np.float32(score) - penalty_C[c] for (n, c), score in scored.items()}
        scores = cosine + np.float32(min([0, *(held_back[p] for p in held_back if p[0] in is_open)]) - 2)
        for pair, score in held_back.items():
            scores[pair] = score
        for pair in barred:
            scores[pair] = -np.inf
        return scores[open_rows]

    by_notice, told = dense(penalty_C), dense(np.zeros(COMPANIES, np.float32))
    for (rows, scores), by_QN, told_QN in zip(found, (by_notice, told.T), (told, told.T), strict=True):
        assert rows.shape == scores.shape == (len(by_QN), min(k, by_QN.shape[1]))
        order = np.argsort(-by_QN, axis=1, kind="stable")[:, : rows.shape[1]]
        expected = np.take_along_axis(told_QN, order, axis=1)
        nobody = np.isneginf(expected)
        np.testing.assert_array_equal(rows, np.where(nobody, -1, order))
        np.testing.assert_array_equal(scores, np.where(nobody, 0, expected))
