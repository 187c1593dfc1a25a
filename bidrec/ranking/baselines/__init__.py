"""The rankers a model has to beat. All learn from bids known before the cutoff alone, and stay as they are then."""

from collections.abc import Mapping

from scipy import sparse

from bidrec.config import Evaluation
from bidrec.operations import log
from bidrec.operations.progress import Counted
from bidrec.ranking.baselines.backoff import BackOff
from bidrec.ranking.baselines.cobidders import CoBidders
from bidrec.ranking.baselines.counts import Counts
from bidrec.ranking.baselines.fields import BUYER, Fields
from bidrec.ranking.baselines.knn import Neighbours
from bidrec.ranking.baselines.known_bids import KnownBids
from bidrec.ranking.baselines.popularity import Popularity
from bidrec.ranking.baselines.summed import ByVotes
from bidrec.ranking.ranker import Part, Ranker
from bidrec.training_set.load import TrainingSet

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
