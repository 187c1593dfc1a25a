"""Nearest neighbours: the bidders of the notices that are most alike, by title and attributes.

A notice is its title's TF-IDF terms and its attributes weighted by inverse document frequency; alike is the cosine.
Each of the k nearest notices votes for its bidders, the more alike and the more recent the louder.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bidrec.ranking.baselines.fields import unit_rows
from bidrec.ranking.baselines.known_bids import KnownBids
from bidrec.ranking.lookup import places_of_largest
from bidrec.ranking.sparse_rows import from_ends, from_places

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.integer]

# Chosen on the windows before the cutoffs of two states' tenders; none of them matters much.
LIKENESS_POWER = 5
"""A vote is the cosine to this power."""
BIDDERS_POWER = 0.5
"""A notice's vote for each of its n bidders is divided by n to this power."""
COMMON = 0.2
"""Terms and attributes in more than this share of the known notices tell nothing apart and would cost the most."""

QUERIES = 128
"""Notices compared with the known ones at a time."""


class Neighbours:
    def __init__(
        self,
        bids: KnownBids,
        attributes: sparse.csr_array,
        text: sparse.csr_array,
        neighbours: int,
        half_life: float,
        popularity: Float64,
        most: int | None = None,
        keep_votes: int = 0,
    ) -> None:
        """`attributes` (N, ids) of ones and `text` (N, ids) of weights, of all notices. `neighbours` is k; `half_life`
        of a vote, in days; `popularity` (C,) orders the companies no neighbour votes for. `most`: only so many of the
        newest known notices are compared with, None for all. `keep_votes`: several rankers ask for those of the same
        blocks, one ranker after the other; so many votes are kept for the next one, 8 bytes each."""
        self.neighbours = neighbours
        bids = bids if most is None else bids.newest(most)
        known, self._votes = votes_of(bids, half_life)
        weighted = (_weighted(attributes, known, by_rarity=True), _weighted(text, known, by_rarity=False))
        self._terms = unit_rows(sparse.hstack([unit_rows(block) for block in weighted], format="csr"))
        self._known_by_term = self._terms[known].T.tocsr()
        self._kept: dict[bytes, sparse.csr_array] = {}
        self._room = keep_votes
        # Small enough never to outweigh a vote that counts.
        self._rest_C = (1e-9 * popularity / max(popularity.sum(), 1e-12)).astype(np.float32)

    def scores(self, notice_rows: Int64) -> Float32:
        """(B,) -> (B, C)."""
        scores = np.tile(self._rest_C, (len(notice_rows), 1))
        for start in range(0, len(notice_rows), QUERIES):
            block = slice(start, start + QUERIES)
            scores[block] += self.votes(notice_rows[block]).toarray()
        return scores

    def votes(self, notice_rows: Int64) -> sparse.csr_array:
        """(B,) -> (B, C) the votes alone; B should be a block."""
        block = notice_rows.tobytes()
        votes = self._kept.get(block)
        if votes is None:
            votes = self._count(notice_rows)
            # Some thousand a notice; where a notice has a crowd of bidders, all that are like it have as many.
            if votes.nnz < self._room:
                self._kept[block] = votes
                self._room -= votes.nnz
        return votes

    def _count(self, notice_rows: Int64) -> sparse.csr_array:
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
