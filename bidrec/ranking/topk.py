"""Exact top-K in blocks: companies for notices, or notices for companies.

Read by the evaluation (blocks of scores) and by the write-back (vectors).

Dimension letters: B rows of a block, Q queries, N items, D length of a vector, K items listed.
"""

import numpy as np
import numpy.typing as npt
import torch

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]

NOT_LISTED = np.float32(-np.inf)
QUERIES = 128
ITEMS = 32768
"""A block of scores is at most this large: 16 MiB, whatever the catalogue."""


def best(scores_BN: Float32, k: int) -> tuple[Int64, Float32]:
    """The k best columns of each row and their scores, (B, K) each with K = min(k, N).

    Higher scores first; of equal ones the lower column first, at the end of the list too.
    Raises ValueError on a NaN score, which would have no place in any order.
    """
    rows, columns = scores_BN.shape
    k = min(k, columns)
    chosen = _chosen(scores_BN, k) if k < columns else np.broadcast_to(np.arange(columns), (rows, columns))
    score_BK = np.take_along_axis(scores_BN, chosen, axis=1)
    if np.isnan(score_BK).any():
        raise ValueError("a score is NaN: such a ranking has no order")
    # The columns ascend, so a stable sort leaves equal scores in their order.
    order = np.argsort(-score_BK, axis=1, kind="stable")
    return np.take_along_axis(chosen, order, axis=1), np.take_along_axis(score_BK, order, axis=1)


def _chosen(scores_BN: Float32, k: int) -> Int64:
    """(B, k) columns of the best scores, ascending; NaN counts as the best so that it is seen.

    By torch: numpy's partition takes forty times as long where many scores are the same, as counts of bids are.
    """
    score_BL, column_BL = (found.numpy() for found in torch.from_numpy(scores_BN).topk(k + 1, dim=1))
    chosen = np.sort(column_BL[:, :k], axis=1)
    last_chosen, first_left_out = score_BL[:, k - 1], score_BL[:, k]
    for row in np.flatnonzero(first_left_out == last_chosen):
        # Equal scores lie on both sides of the list's end: any of them were taken, the lowest are wanted.
        above = np.flatnonzero(~(scores_BN[row] <= last_chosen[row]))  # NaN too
        equal = np.flatnonzero(scores_BN[row] == last_chosen[row])[: k - len(above)]
        chosen[row] = np.sort(np.concatenate([above, equal]))
    return chosen


def top_k(
    query_QD: Float32, item_ND: Float32, k: int, allowed_QN: npt.NDArray[np.bool_] | None = None
) -> tuple[Int64, Float32]:
    """The k items of the largest dot product for each query: rows (Q, K) and scores (Q, K), K = min(k, N).

    An item that is not among the query's `allowed_QN` (None: all are) scores -inf. Order and refusals as in `best`.
    Takes memory for one block and for the result.
    """
    listed = min(k, len(item_ND))
    rows = np.empty((len(query_QD), listed), np.int64)
    scores = np.empty((len(query_QD), listed), np.float32)
    for start in range(0, len(query_QD), QUERIES):
        block = slice(start, start + QUERIES)
        allowed_BN = None if allowed_QN is None else allowed_QN[block]
        rows[block], scores[block] = _top_k_of_block(query_QD[block], item_ND, k, allowed_BN)
    return rows, scores


def _top_k_of_block(
    query_BD: Float32, item_ND: Float32, k: int, allowed_BN: npt.NDArray[np.bool_] | None
) -> tuple[Int64, Float32]:
    rows = np.empty((len(query_BD), 0), np.int64)
    scores = np.empty((len(query_BD), 0), np.float32)
    for start in range(0, len(item_ND), ITEMS):
        products = query_BD @ item_ND[start : start + ITEMS].T
        allowed = None if allowed_BN is None else allowed_BN[:, start : start + ITEMS]
        if scores.shape[1] < k:
            more, more_scores = best(products if allowed is None else np.where(allowed, products, NOT_LISTED), k)
        else:
            # Few are above a full list's last: that is cheaper than to order them all. NaN too, so that it is seen.
            above = ~(products <= scores[:, -1:])
            more, more_scores = _those(above if allowed is None else above & allowed, products)
        # Those found before have lower rows and come first: among equals, best() keeps them.
        rows, scores = np.hstack([rows, more + start]), np.hstack([scores, more_scores])
        chosen, scores = best(scores, k)
        rows = np.take_along_axis(rows, chosen, axis=1)
    return rows, scores


def _those(chosen_BN: npt.NDArray[np.bool_], scores_BN: Float32) -> tuple[Int64, Float32]:
    """(B, W) the columns chosen of each row, ascending, and their scores, W as many as one row has at most; after a
    row's last, column 0 with -inf."""
    row, column = np.divmod(np.flatnonzero(chosen_BN), chosen_BN.shape[1])
    count_B = np.bincount(row, minlength=len(chosen_BN))
    place = np.arange(len(row)) - np.repeat(np.cumsum(count_B) - count_B, count_B)
    columns = np.zeros((len(chosen_BN), int(count_B.max(initial=0))), np.int64)
    scores = np.full(columns.shape, -np.inf, np.float32)
    columns[row, place], scores[row, place] = column, scores_BN[row, column]
    return columns, scores
