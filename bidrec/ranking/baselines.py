"""The baselines a model has to beat. All learn only from bids known before the cutoff."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bidrec.config import Evaluation
from bidrec.operations import log
from bidrec.operations.progress import Counted
from bidrec.ranking.counts import BUYER, Fields, KnownBids, from_ends, stacked
from bidrec.ranking.neighbours import CoBidders, Neighbours, likely
from bidrec.ranking.ranker import Part, Ranker
from bidrec.training_set.arrays import TrainingSet


class Popularity:
    def __init__(self, bids: KnownBids, half_life: float) -> None:
        """`half_life` of a bid's weight, in days."""
        self.score_C = bids.popularity(half_life).astype(np.float32)

    def scores(self, notice_rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """(B,) -> (B, C)."""
        return np.tile(self.score_C, (len(notice_rows), 1))


Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

SCALE = 4.0
"""A count n enters as ln(1 + SCALE * n), here and in the second stage: the first bid says most."""


class Counts:
    def __init__(
        self, fields: Sequence[Int64], counted: Iterable[sparse.csr_array], popularity: npt.NDArray[np.float64]
    ) -> None:
        """`fields`: (N,) codes of each, 0 for unknown; `counted`: the bids by each (KnownBids.counted); `popularity`
        (C,) orders the companies without any such bid."""
        self.fields = list(fields)
        heights = [int(codes.max(initial=0)) + 1 for codes in self.fields]
        self._begin = np.cumsum([0, *heights])
        self._counted = stacked(counted, len(popularity))
        self._counted.data = np.log1p(SCALE * self._counted.data)
        self._rest_C = (1e-6 * popularity / max(popularity.sum(), 1e-12)).astype(np.float32)

    def scores(self, notice_rows: Int64) -> Float32:
        """(B,) -> (B, C)."""
        scores_BC = np.tile(self._rest_C, (len(notice_rows), 1))
        if not self.fields:
            return scores_BC
        columns = [codes[notice_rows] + begin for codes, begin in zip(self.fields, self._begin[:-1], strict=True)]
        ends = np.arange(len(notice_rows) + 1) * len(columns)
        ones = np.ones(ends[-1], np.float32)
        shape = (len(notice_rows), self._counted.shape[0])
        chosen = from_ends(ones, np.stack(columns, axis=1).ravel(), ends, shape)
        scores_BC += (chosen @ self._counted).toarray()
        return scores_BC


Float64 = npt.NDArray[np.float64]


class BackOff:
    def __init__(
        self,
        bids: KnownBids,
        chain: Sequence[Int64],
        counted: Iterable[sparse.csr_array],
        weight_P: Float64,
        prior: float,
        popularity: Float64,
    ) -> None:
        """`chain`: (N,) codes of each key, 0 for unknown, the finest first; `counted`: the bids by each, of the weights
        `weight_P`. `prior` is m, in notices; `popularity` (C,) is what is left to say of a notice without a known
        key."""
        self.chain = list(chain)
        self.prior = prior
        self.popularity_C = popularity / max(popularity.sum(), 1e-12)
        heights = [int(codes.max(initial=0)) + 1 for codes in self.chain]
        self._begin = np.cumsum([0, *heights])
        # A notice weighs as much as one of its bids, however many there are.
        notices, _, bidders = bids.notices()
        first = np.cumsum(bidders) - bidders
        self._mass = [
            np.bincount(codes[notices], weights=weight_P[first], minlength=height)
            for codes, height in zip(self.chain, heights, strict=True)
        ]
        self._counts = stacked(counted, bids.companies)

    def scores(self, notice_rows: Int64) -> npt.NDArray[np.float32]:
        """(B,) -> (B, C)."""
        left = np.ones(len(notice_rows))
        shares, columns = [], []
        for codes, mass, begin in zip(self.chain, self._mass, self._begin[:-1], strict=True):
            code = codes[notice_rows]
            seen = np.where(code > 0, mass[code], 0.0)
            shares.append(np.where(seen > 0, left / (seen + self.prior), 0.0))
            left = np.where(seen > 0, left * self.prior / (seen + self.prior), left)
            columns.append(code + begin)
        rest = (left[:, None] * self.popularity_C).astype(np.float32)
        if not self.chain:
            return rest
        selection = from_ends(
            np.stack(shares, axis=1).astype(np.float32).ravel(),
            np.stack(columns, axis=1).ravel(),
            np.arange(len(notice_rows) + 1) * len(self.chain),
            (len(notice_rows), self._counts.shape[0]),
        )
        rest += (selection @ self._counts).toarray()
        return rest


LEAST = 1e-4
"""Added before a logarithm: what a company without a vote has."""
# Chosen on the windows before the cutoffs of two states' tenders.
COUNTS_WEIGHT, COBIDDERS_WEIGHT = 0.1, 0.5


class ByVotes:
    """Three rankers, parts of this one, that share the kNN's votes and the walk to co-bidders."""

    NAMES = ("knn", "cobidders", "summed")

    def __init__(
        self, counts: Counts, knn: Neighbours, cobidders: CoBidders, popularity: npt.NDArray[np.float64]
    ) -> None:
        """`popularity` (C,) orders the companies no neighbour votes for."""
        self.counts, self.knn, self.cobidders = counts, knn, cobidders
        # Small enough never to outweigh a vote that counts.
        self._rest_C = (1e-9 * popularity / max(popularity.sum(), 1e-12)).astype(np.float32)

    def scores(self, notice_rows: Int64) -> Iterator[Float32]:
        """(B,) -> (B, C) of each of NAMES. Companies that meet none of the likely ones keep the kNN's order."""
        votes = self.knn.votes(notice_rows)
        vote_BC = votes.toarray()
        yield vote_BC + self._rest_C
        met_BC = np.zeros_like(vote_BC)
        for row, met_C in enumerate(self.cobidders.spread(likely(votes))):
            met_BC[row] = met_C
        met_BC = np.maximum(met_BC, 0) + 1e-6 * vote_BC
        yield met_BC.copy()
        scores_BC = COUNTS_WEIGHT * self.counts.scores(notice_rows)
        scores_BC += np.log(vote_BC + LEAST)
        scores_BC += COBIDDERS_WEIGHT * np.log(met_BC + LEAST)
        yield scores_BC


BUYER_PRIOR = 1.0
PLACE_PRIOR = 3.0
"""Notices' worth of trust in the coarser key."""

PLACES_FIRST = ("unit and place", "place", "unit", "category")
"""Counted fields by which `place_category` backs off, as many as there are."""


def fit_baselines(
    ts: TrainingSet,
    fields: Fields,
    cutoff: int,
    settings: Evaluation,
    counted: Mapping[str, sparse.csr_array] | None = None,
) -> dict[str, Ranker]:
    """popularity, buyer, place_category, counts, knn, cobidders and the sum of the last three, as of `cutoff` (epoch
    seconds UTC).

    A field that the source lacks is skipped; a baseline without any of its fields is popularity. `counted`: the bids
    known by then by each of fields.counted, halved every `settings.backoff_half_life` days, where they are there.
    """
    bids = KnownBids.of(ts, cutoff)
    half_life, popularity = settings.backoff_half_life, bids.popularity(settings.popularity_half_life)
    weight_P, buyer = bids.weights(half_life), fields.notice.codes(*BUYER)
    fitted = Counted(log.get("evaluate"), "fitting baselines", 4)  # and those that take no time
    if counted is None:
        counted = {name: bids.counted(codes, weight_P) for name, codes in fields.counted.items()}
    counts = Counts(list(fields.counted.values()), counted.values(), popularity)
    fitted()
    knn = Neighbours(bids, fields.attributes, fields.text, settings.neighbours, half_life)
    fitted()
    by_votes = ByVotes(counts, knn, CoBidders(bids, half_life), popularity)
    fitted()
    places = [name for name in PLACES_FIRST if name in counted]
    chain, by_place = [fields.counted[name] for name in places], [counted[name] for name in places]
    offices = [] if buyer is None else [buyer]
    by_office = [bids.counted(codes, weight_P) for codes in offices]
    fitted()
    return {
        "popularity": Popularity(bids, settings.popularity_half_life),
        "buyer": BackOff(bids, offices, by_office, weight_P, BUYER_PRIOR, popularity),
        "place_category": BackOff(bids, chain, by_place, weight_P, PLACE_PRIOR, popularity),
        "counts": counts,
        **{name: Part(by_votes.scores, place) for place, name in enumerate(by_votes.NAMES)},
    }
