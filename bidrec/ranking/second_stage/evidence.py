"""Everything the second stage knows at a moment: who bid on what, how often, how lately, with whom.

Reads   runs/ID/training_set (bids known before the moment, the notices' fields), the towers' vectors
Held in memory; sparse throughout: some 8 bytes for each (value, company) that occurs, of each counted field
"""

import numpy as np
import numpy.typing as npt

from bidrec.config import Ranking
from bidrec.operations import log
from bidrec.operations.progress import Counted
from bidrec.ranking.baselines.cobidders import CoBidders
from bidrec.ranking.baselines.fields import Fields
from bidrec.ranking.baselines.knn import Neighbours
from bidrec.ranking.baselines.known_bids import KnownBids
from bidrec.ranking.eligibility import Eligibility
from bidrec.ranking.ranker import VectorRanker
from bidrec.ranking.second_stage.neighbours import TowerNeighbours
from bidrec.ranking.second_stage.peers import Peers, groups_of
from bidrec.ranking.truth import newest_profiles
from bidrec.training_set.load import TrainingSet
from bidrec.training_set.splits import DAY

Float32 = npt.NDArray[np.float32]

RECENT, LASTING = 60.0, 400.0
"""Half-lives of the counts of all of a company's bids, in days."""
NEVER = 3000.0
"""Days since the last bid of a company without one."""


class Evidence:
    """As of `moment` (epoch seconds UTC): bids opened before it, and nothing else."""

    def __init__(
        self,
        ts: TrainingSet,
        fields: Fields,
        moment: int,
        vectors: VectorRanker,
        known_C: npt.NDArray[np.bool_],
        eligibility: Eligibility,
        settings: Ranking,
    ) -> None:
        """`vectors`: the towers', the companies' as of the moment; `known_C`: the companies known then. A newcomer
        (`newcomer_C`) is one of these of which no bid is known."""
        bids = KnownBids.of(ts, moment)
        self.fields, self.companies = fields, ts.companies
        self.vectors, self.notice_ND, self.company_CD = vectors, vectors.notice_ND, vectors.company_CD
        self.known = np.flatnonzero(known_C)
        self.known_KD = vectors.company_CD[self.known]  # in each block it would be copied again
        self.eligible = eligibility.as_of(moment)
        gathered = Counted(log.get("second stage"), "gathering what is known", len(fields.counted) + 3)
        self._count(bids, settings.half_life, gathered)
        self._find_neighbours(bids, settings, gathered)
        self.newcomer_C = known_C & (np.bincount(bids.company, minlength=bids.companies) == 0)
        self.record_age_C = np.log1p(_days_known(ts, moment)).astype(np.float32)
        self.peers = Peers(groups_of(ts.profile), newest_profiles(ts, moment))

    def _count(self, bids: KnownBids, half_life: float, counted: Counted) -> None:
        """How often and how lately each company bid, in all and on a value of each counted field."""
        weight_P = bids.weights(half_life)
        self.counts = {}
        for name, codes in self.fields.counted.items():
            self.counts[name] = bids.counted(codes, weight_P)
            counted()
        self.recent_C = np.log1p(bids.popularity(RECENT)).astype(np.float32)
        self.lasting_C = np.log1p(bids.popularity(LASTING)).astype(np.float32)
        days = np.full(bids.companies, NEVER)
        np.minimum.at(days, bids.company, bids.age_days)
        self.last_bid_C = np.log1p(days).astype(np.float32)

    def _find_neighbours(self, bids: KnownBids, settings: Ranking, found: Counted) -> None:
        """The notices alike by what they say and near by the towers, and the companies that bid together."""
        half_life = settings.half_life
        self.alike = Neighbours(
            bids,
            self.fields.attributes,
            self.fields.text,
            settings.neighbours,
            half_life,
            most=settings.known_notices,
        )
        found()
        self.near = TowerNeighbours(bids, self.notice_ND, settings.tower_neighbours, settings.known_notices, half_life)
        found()
        self.company_bidders = CoBidders(bids, half_life)
        found()


def _days_known(ts: TrainingSet, moment: int) -> npt.NDArray[np.float64]:
    """(C,) days since anything was first known of each company; 0 where nothing is."""
    first_C = np.full(ts.companies, moment)
    np.minimum.at(first_C, ts.version_company, ts.version_known_at)
    return (moment - first_C) / DAY
