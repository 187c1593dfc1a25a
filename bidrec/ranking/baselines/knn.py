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
