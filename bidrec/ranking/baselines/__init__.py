"""The rankers a model has to beat. All learn from bids known before the cutoff alone, and stay as they are then."""

import numpy as np
import numpy.typing as npt

from bidrec.config import Evaluation
from bidrec.ranking.baselines.backoff import BackOff
from bidrec.ranking.baselines.history import KnownBids, NoticeFields, attribute_rows, cross, text_rows
from bidrec.ranking.baselines.knn import Neighbours
from bidrec.ranking.baselines.popularity import Popularity
from bidrec.ranking.ranker import Ranker
from bidrec.training_set.load import TrainingSet

Int64 = npt.NDArray[np.int64]

# What a source may call it, the most telling first.
BUYER = ("buyer_id", "unit", "department", "parent")
UNIT = ("unit", "buyer_id", "department", "parent")
PLACE = ("place", "place_code", "region")
CATEGORY = ("category", "subcategory", "work_type")

BUYER_PRIOR = 1.0
PLACE_PRIOR = 3.0
"""Notices' worth of trust in the coarser key."""


def fit_baselines(ts: TrainingSet, cutoff: int, settings: Evaluation) -> dict[str, Ranker]:
    """popularity, buyer, place_category and knn, as of `cutoff` (epoch seconds UTC).

    A field that the source lacks is skipped; a baseline without any of its fields is popularity.
    """
    bids = KnownBids.of(ts, cutoff)
    fields = NoticeFields(ts.notice)
    half_life, popularity = settings.backoff_half_life, bids.popularity(settings.popularity_half_life)
    buyer = fields.codes(*BUYER)
    return {
        "popularity": Popularity(bids, settings.popularity_half_life),
        "buyer": BackOff(bids, [] if buyer is None else [buyer], half_life, BUYER_PRIOR, popularity),
        "place_category": BackOff(bids, _places_first(fields), half_life, PLACE_PRIOR, popularity),
        "knn": Neighbours(
            bids, attribute_rows(ts.notice), text_rows(ts.notice), settings.neighbours, half_life, popularity
        ),
    }


def _places_first(fields: NoticeFields) -> list[Int64]:
    """place x unit, place, unit, category: as many as there are."""
    place, unit, category = fields.codes(*PLACE), fields.codes(*UNIT), fields.codes(*CATEGORY)
    both = cross(place, unit) if place is not None and unit is not None else None
    return [codes for codes in (both, place, unit, category) if codes is not None]
