"""The best companies for each open notice and the best open notices for each company, from one pass over the pairs.

Reads   today's vectors and final ranking (today.py)
Read by write_back.py

A pair that the second stage looked at has its score, which compares across notices and across companies. All other
pairs come after those, in the order of the towers' cosine, so that every list is as long as it can be. A company
that may not bid on a notice is in no list with it: a list ends early where there are no more that may. Where
`ranking.exposure` holds companies back, a notice's companies are ordered by the score less the penalty; every score
stays what it is, and a pair's is the same in both lists.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from bidrec.operations import log
from bidrec.operations.progress import Counted
from bidrec.publishing.today import Today
from bidrec.ranking.topk import best

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Lists = tuple[Int64, Float32]
"""Rows (Q, K) of the other side, best first, -1 where a list ends early, and their scores (Q, K), 0 there."""
Allowed = Callable[[Int64], npt.NDArray[np.bool_]]
"""Queries -> (B, N) which items each may have in its list."""

SCORES_AT_ONCE = 1 << 23


def best_of_both(today: Today, open_rows: Int64, k: int) -> tuple[Lists, Lists]:
    """(companies for the notices at `open_rows` of today.vectors, such notices for all companies), K = min(k, there).

    The rows of the first are places in today.vectors' companies, those of the second places in `open_rows`.
    """
    looked_at = Counted(log.get("write-back"), "looking at open notices", len(open_rows))
    notice, company_row, score = today.ranker.pairs(today.notice_row[open_rows], looked_at)
    company = np.searchsorted(today.company_row, company_row)
    notice_OD, company_CD = today.vectors.notice_ND[open_rows], today.vectors.company_CD
    notice_row, eligible = today.notice_row[open_rows], today.eligible
    to_companies = _best(
        notice_OD,
        company_CD,
        (notice, company, score),
        today.ranker.penalty_C[today.company_row],
        lambda queries: eligible.mask(notice_row[queries], today.company_row),
        k,
    )
    to_notices = _best(
        company_CD,
        notice_OD,
        (company, notice, score),
        np.zeros(len(notice_OD), np.float32),
        lambda queries: eligible.mask(notice_row, today.company_row[queries]).T,
        k,
    )
    return to_companies, to_notices


def _below(score: Float32) -> float:
    """A floor on which a cosine, in [-1, 1], still lies below every score."""
    return float(score.min(initial=0)) - 2


def _best(
    query_QD: Float32,
    item_ND: Float32,
    pairs: tuple[Int64, Int64, Float32],
    penalty_N: Float32,
    allowed: Allowed,
    k: int,
) -> Lists:
    """The k best items of each query: `pairs` (query, item, score), a query's items ascending, by the score less the
    item's penalty, then all others by the cosine. The scores come without the penalties."""
    order = np.argsort(pairs[0], kind="stable")
    query, item, score = pairs[0][order], pairs[1][order], pairs[2][order]
    held_back = score - penalty_N[item]
    floor, lower = np.float32(_below(score)), np.float32(_below(held_back))
    listed = min(k, len(item_ND))
    rows, scores = np.empty((len(query_QD), listed), np.int64), np.empty((len(query_QD), listed), np.float32)
    begin_Q = np.searchsorted(query, np.arange(len(query_QD) + 1))
    enough_Q = np.diff(begin_Q) >= listed
    done = Counted(log.get("write-back"), "listing", len(query_QD))
    # A query with as many pairs as its list is long has no place for others: their cosines are not worked out.
    for queries in _blocks(np.flatnonzero(enough_Q), len(item_ND)):
        at, (row, place) = _pairs_of(queries, begin_Q)
        held_back_BW = np.full((len(queries), place.max(initial=-1) + 1), -np.inf, np.float32)
        held_back_BW[row, place] = held_back[at]
        best_at = begin_Q[queries, None] + best(held_back_BW, listed)[0]
        rows[queries], scores[queries] = item[best_at], score[best_at]
        done(len(queries))
    for queries in _blocks(np.flatnonzero(~enough_Q), len(item_ND)):
        at, (row, _) = _pairs_of(queries, begin_Q)
        score_BN = query_QD[queries] @ item_ND.T
        score_BN += floor
        score_BN[row, item[at]] = score[at]
        order_BN = score_BN
        if penalty_N.any():
            order_BN = score_BN + (lower - floor)
            order_BN[row, item[at]] = held_back[at]
        order_BN[~allowed(queries)] = -np.inf
        best_rows, by = best(order_BN, k)
        nobody, told = np.isneginf(by), np.take_along_axis(score_BN, best_rows, axis=1)
        rows[queries] = np.where(nobody, -1, best_rows)
        scores[queries] = np.where(nobody, np.float32(0), told)
        done(len(queries))
    return rows, scores


def _blocks(queries: Int64, items: int) -> Iterator[Int64]:
    block = max(1, SCORES_AT_ONCE // max(1, items))
    return (queries[start : start + block] for start in range(0, len(queries), block))


def _pairs_of(queries: Int64, begin_Q: Int64) -> tuple[Int64, tuple[Int64, Int64]]:
    """Where the pairs of some queries stand; which of the queries each is of, and the how manieth of it."""
    count_B = begin_Q[queries + 1] - begin_Q[queries]
    row = np.repeat(np.arange(len(queries)), count_B)
    place = np.arange(len(row)) - np.repeat(np.cumsum(count_B) - count_B, count_B)
    return begin_Q[queries][row] + place, (row, place)
