"""The best companies for each open notice and the best open notices for each company, from one pass over the pairs.

Reads   today's vectors and final ranking (today.py)
Read by write_back.py

A pair that the second stage looked at has its score, which compares across notices and across companies. All other
pairs come after those, in the order of the towers' cosine, so that every list is as long as it can be. A company
that may not bid on a notice is in no list with it: a list ends early where there are no more that may. Where
`ranking.exposure` holds companies back, a notice's companies are ordered by the score less the penalty; every score
stays what it is, and a pair's is the same in both lists.
"""

from collections.abc import Callable

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
Allowed = Callable[[slice], npt.NDArray[np.bool_]]
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
    """The k best items of each query: `pairs` (query, item, score) by the score less the item's penalty, then all
    others by the cosine. The scores come without the penalties."""
    order = np.argsort(pairs[0], kind="stable")
    query, item, score = pairs[0][order], pairs[1][order], pairs[2][order]
    held_back = score - penalty_N[item]
    floor, lower = np.float32(_below(score)), np.float32(_below(held_back))
    listed = min(k, len(item_ND))
    rows, scores = np.empty((len(query_QD), listed), np.int64), np.empty((len(query_QD), listed), np.float32)
    block = max(1, SCORES_AT_ONCE // max(1, len(item_ND)))
    for start in range(0, len(query_QD), block):
        score_BN = query_QD[start : start + block] @ item_ND.T + floor
        first, end = np.searchsorted(query, [start, start + len(score_BN)])
        looked_at = query[first:end] - start, item[first:end]
        score_BN[looked_at] = score[first:end]
        order_BN = score_BN
        if penalty_N.any():
            order_BN = score_BN + (lower - floor)
            order_BN[looked_at] = held_back[first:end]
        order_BN[~allowed(slice(start, start + len(score_BN)))] = -np.inf
        best_rows, by = best(order_BN, k)
        nobody, told = np.isneginf(by), np.take_along_axis(score_BN, best_rows, axis=1)
        rows[start : start + block] = np.where(nobody, -1, best_rows)
        scores[start : start + block] = np.where(nobody, np.float32(0), told)
        log.get("write-back").info("listing", done=f"{start + len(score_BN)}/{len(query_QD)}")
    return rows, scores
