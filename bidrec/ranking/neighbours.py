"""kNN over notices, lexical and by embedding, whose bidders get votes; and companies that bid together.

A vote is larger the more similar and the more recent the notice.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bidrec.ranking.counts import KnownBids, from_ends, from_places, unit_rows
from bidrec.ranking.topk import top_k

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

SOME = 8
"""To find the k-th of many values, every so manieth is looked at first."""


def looked_up(matrix: sparse.csr_array, row_B: Int64, company_BM: Int64) -> Float32:
    """(B, M) what the rows row_B of the matrix (rows, C), in which columns ascend, hold of the companies; 0 for one
    below 0. A binary search a question."""
    found = np.zeros(company_BM.shape, np.float32)
    asked_BM = company_BM.astype(matrix.indices.dtype, copy=False)  # else each search would copy the row
    for place, row in enumerate(row_B):
        start, end = matrix.indptr[row], matrix.indptr[row + 1]
        if start < end:
            columns = matrix.indices[start:end]
            at = np.minimum(np.searchsorted(columns, asked_BM[place]), end - start - 1)
            found[place] = np.where(columns[at] == asked_BM[place], matrix.data[start:end][at], 0)
    return found


def entries(matrix: sparse.csr_array, company_BM: Int64) -> Float32:
    """(B, M) what row b of the matrix (B, C) holds of the companies company_BM[b]; 0 for one below 0.

    Each row is laid out once in full: for so many questions a row that is cheaper than sorting it to search in it.
    """
    found = np.zeros(company_BM.shape, np.float32)
    laid_out_C = np.zeros(matrix.shape[1], np.float32)
    for row, (start, end) in enumerate(pairwise(matrix.indptr)):
        columns = matrix.indices[start:end]
        laid_out_C[columns] = matrix.data[start:end]
        found[row] = laid_out_C[company_BM[row]]
        laid_out_C[columns] = 0
    found[company_BM < 0] = 0
    return found


def largest(matrix: sparse.csr_array, k: int) -> Int64:
    """(B, k) columns of the k largest entries of each row, in no order; -1 where the row has fewer. Of equal ones as
    `places_of_largest`."""
    found = np.full((matrix.shape[0], k), -1, np.int64)
    for row, (start, end) in enumerate(pairwise(matrix.indptr)):
        columns = matrix.indices[start:end]
        chosen = columns[places_of_largest(matrix.data[start:end], columns, k)]
        found[row, : len(chosen)] = chosen
    return found


def places_of_largest(values: npt.NDArray[np.floating], columns: npt.NDArray[np.integer], k: int) -> Int64:
    """Where the k largest values of a row (n,) stand, ascending. Of equal ones those in the last of its `columns` (n,):
    of notices, the newest. numpy's argpartition would take any of them, and on another processor others."""
    if len(values) <= k:
        return np.arange(len(values))
    least = _kth(values, k)
    found = np.flatnonzero(~(values < least))  # NaN too: who ranks by it refuses it
    too_many = len(found) - k
    if not too_many:
        return found
    equal = np.flatnonzero(values[found] == least)
    return np.delete(found, equal[np.argpartition(columns[found[equal]], too_many - 1)[:too_many]])


def _kth(values: npt.NDArray[np.floating], k: int) -> np.floating:
    """The k-th largest; NaN is the largest of all."""
    if len(values) > SOME * SOME * k:
        # At least k are as large as the k-th of some of them: few others are left to be told apart.
        values = values[~(values < _kth(values[::SOME], k))]
    return np.partition(values, len(values) - k)[len(values) - k]


Numbers = npt.NDArray[np.integer]

# Chosen on the windows before the cutoffs of two states' tenders; none of them matters much.
LIKENESS_POWER = 5
"""A vote is the cosine to this power."""
BIDDERS_POWER = 0.5
"""A notice's vote for each of its n bidders is divided by n to this power."""
COMMON = 0.2
"""Terms and attributes in more than this share of the known notices tell nothing apart and would cost the most."""


class Neighbours:
    def __init__(
        self,
        bids: KnownBids,
        attributes: sparse.csr_array,
        text: sparse.csr_array,
        neighbours: int,
        half_life: float,
        most: int | None = None,
    ) -> None:
        """`attributes` (N, ids) of ones and `text` (N, ids) of weights, of all notices. `neighbours` is k; `half_life`
        of a vote, in days. `most`: only so many of the newest known notices are compared with, None for all."""
        self.neighbours = neighbours
        bids = bids if most is None else bids.newest(most)
        known, self._votes = votes_of(bids, half_life)
        weighted = (_weighted(attributes, known, by_rarity=True), _weighted(text, known, by_rarity=False))
        self._terms = unit_rows(sparse.hstack([unit_rows(block) for block in weighted], format="csr"))
        self._known_by_term = self._terms[known].T.tocsr()

    def votes(self, notice_rows: Int64) -> sparse.csr_array:
        """(B,) -> (B, C); B should be a block."""
        terms = self._terms[notice_rows]
        nearest = [
            self._nearest(terms.indices[start:end], terms.data[start:end]) for start, end in pairwise(terms.indptr)
        ]
        known = np.concatenate([*(alike for alike, _ in nearest), np.empty(0, np.int64)])
        likeness = np.concatenate([*(how for _, how in nearest), np.empty(0, np.float32)])
        ends = np.cumsum([0, *(len(alike) for alike, _ in nearest)])
        return from_ends(likeness**LIKENESS_POWER, known, ends, (len(nearest), self._votes.shape[0])) @ self._votes

    def _nearest(self, term: Numbers, weight: Float32) -> tuple[Int64, Float32]:
        """The k known notices most alike to one of these terms (of equals, the newest), ascending, and how alike."""
        # A notice has a term in common with a third of them: rows that are full are added up faster than SciPy makes a
        # sparse product of them.
        likeness_K = self._known_by_term[term].T @ weight
        alike = np.flatnonzero(likeness_K != 0)
        likeness = likeness_K[alike]
        chosen = places_of_largest(likeness, alike, self.neighbours)
        return alike[chosen], likeness[chosen]


def votes_of(bids: KnownBids, half_life: float) -> tuple[Int64, sparse.csr_array]:
    """The K notices with a known bid, ascending, and (K, C) what each of them says for its bidders."""
    known, of_bid, bidders = bids.notices()
    votes = bids.weights(half_life) / bidders[of_bid] ** BIDDERS_POWER
    return known, from_places(votes.astype(np.float32), of_bid, bids.company, (len(known), bids.companies))


def _weighted(rows: sparse.csr_array, known: Int64, by_rarity: bool) -> sparse.csr_array:
    """`rows` without what is common among the known notices; `by_rarity` weights the rest by ln(n / notices)."""
    notices = np.bincount(rows[known].indices, minlength=rows.shape[1])
    weight = np.log((len(known) + 1) / (notices + 1)) if by_rarity else np.ones(rows.shape[1])
    weight[notices > COMMON * len(known)] = 0
    weighted = (rows @ sparse.diags_array(weight.astype(np.float32))).tocsr()
    weighted.eliminate_zeros()
    return weighted


# Chosen on the windows before the cutoffs of two states' tenders; half or twice as much costs .001 to .005.
SHARPNESS = 20.0
"""A vote is exp(SHARPNESS * (cosine - 1))."""


class TowerNeighbours:
    def __init__(self, bids: KnownBids, notice_ND: Float32, neighbours: int, most: int, half_life: float) -> None:
        """`notice_ND`: all notices' unit vectors. `neighbours` vote, of the `most` newest notices with a known bid; a
        vote is halved every `half_life` days."""
        self.notice_ND = notice_ND
        self.neighbours = neighbours
        known, self._votes = votes_of(bids.newest(most), half_life)
        self.known_KD = notice_ND[known]

    def votes(self, notice_rows: Int64) -> sparse.csr_array:
        """(B, C) of the notices with these rows (B,)."""
        chosen_BK, cosine_BK = top_k(self.notice_ND[notice_rows], self.known_KD, self.neighbours)
        ballots = np.exp(SHARPNESS * (cosine_BK - 1)).astype(np.float32)
        ends = np.arange(len(notice_rows) + 1) * chosen_BK.shape[1]
        shape = (len(notice_rows), len(self.known_KD))
        return from_ends(ballots.ravel(), chosen_BK.ravel(), ends, shape) @ self._votes


CROWD = 100
"""Notices with more bidders than this say little about who meets whom, and cost their square."""
LIKELY = 50
"""Companies from whom the walk begins."""


class CoBidders:
    def __init__(self, bids: KnownBids, half_life: float) -> None:
        known, of_bid, bidders = bids.notices()
        small = bidders[of_bid] <= CROWD
        weight_P = bids.weights(half_life)
        per_bid = np.sqrt(weight_P / bidders[of_bid])[small].astype(np.float32)
        meeting = from_places(per_bid, of_bid[small], bids.company[small], (len(known), bids.companies))
        # A company that bids on everything meets everybody: both ends are divided by how much it bids.
        size_C = 1 / (1 + np.sqrt(np.bincount(bids.company, weight_P, bids.companies)))
        self._meeting = (meeting @ sparse.diags_array(size_C.astype(np.float32))).tocsr()
        self._back = self._meeting.T.tocsr()
        self._alone_C = np.asarray(self._meeting.multiply(self._meeting).sum(axis=0)).ravel().astype(np.float32)

    def spread(self, share: sparse.csr_array) -> Iterator[Float32]:
        """(B, C) shares of likely bidders -> for each row (C,) how often the others meet them.

        The second half of the walk reaches a third of a large catalogue: rows that are full are added up five times as
        fast as SciPy makes a sparse product of them.
        """
        half_way = share @ self._back
        for (begin, end), (first, last) in zip(pairwise(half_way.indptr), pairwise(share.indptr), strict=True):
            met_C = self._meeting[half_way.indices[begin:end]].T @ half_way.data[begin:end]
            # The way back to where one started says nothing about others.
            likely_L = share.indices[first:last]
            met_C[likely_L] -= share.data[first:last] * self._alone_C[likely_L]
            yield met_C

    def met(self, share: sparse.csr_array, company_BM: Int64) -> Float32:
        """(B, M) what `spread` says of some companies of each row; 0 for one below 0. Back from these alone: they have
        fewer bids than all whom the walk reaches, and a company's bids lie together."""
        half_way_K = np.zeros(self._back.shape[1], np.float32)
        found = np.zeros(company_BM.shape, np.float32)
        for row, (first, last) in enumerate(pairwise(share.indptr)):
            begun, asked = self._back[share.indices[first:last]], company_BM[row] >= 0
            shares = np.repeat(share.data[first:last], np.diff(begun.indptr))
            np.add.at(half_way_K, begun.indices, begun.data * shares)
            found[row, asked] = self._back[company_BM[row, asked]] @ half_way_K
            half_way_K[begun.indices] = 0
        return found - entries(share, company_BM) * self._alone_C[company_BM]


def likely(votes: sparse.csr_array) -> sparse.csr_array:
    """The LIKELY companies with the most votes of each row (B, C), as shares that sum to 1."""
    chosen_BL = largest(votes, LIKELY)
    row_B = np.arange(votes.shape[0])
    vote_BL = entries(votes, chosen_BL)
    share_BL = vote_BL / np.maximum(vote_BL.sum(axis=1, keepdims=True), 1e-12)
    has = chosen_BL >= 0
    rows = np.repeat(row_B, has.sum(axis=1))
    return from_places(share_BL[has].astype(np.float32), rows, chosen_BL[has], votes.shape)
