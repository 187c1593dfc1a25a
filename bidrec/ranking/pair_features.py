"""Candidates of a block of notices and the features of each pair, from what is known at a moment.

Reads   runs/ID/training_set, the towers' vectors

Dimension letters: B notices of a block, M candidates of each, S features, C companies, P profile rows, G groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from bidrec.config import Ranking
from bidrec.operations import log
from bidrec.operations.progress import Counted
from bidrec.ranking.baselines import LEAST, SCALE
from bidrec.ranking.counts import Fields, KnownBids, from_ends
from bidrec.ranking.eligibility import Eligibility, Eligible
from bidrec.ranking.ground_truth import newest_profiles
from bidrec.ranking.neighbours import CoBidders, Neighbours, TowerNeighbours, entries, largest, likely, looked_up
from bidrec.ranking.ranker import VectorRanker
from bidrec.ranking.topk import top_k
from bidrec.training.embed import company_vectors, notice_vectors
from bidrec.training.resident import Resident
from bidrec.training.saved import load_model
from bidrec.training_set.arrays import Side, TrainingSet
from bidrec.training_set.splits import DAY


class Towers:
    """A run's model over its training set; the notices are embedded once, the companies at each moment asked for."""

    def __init__(self, ts: TrainingSet, model_folder: Path) -> None:
        self.model = load_model(ts.schema, model_folder)
        self.data = Resident.of(ts, torch.device("cpu"))
        self._notice_NW = notice_vectors(self.model, self.data)
        self.notice_ND = self.model.published(self._notice_NW)

    def as_of(self, moment: int) -> VectorRanker:
        """Companies with what was known strictly before `moment` (epoch seconds UTC)."""
        company_CW, _ = company_vectors(self.model, self.data, self._notice_NW, moment - 1)
        return VectorRanker(self.notice_ND.numpy(), self.model.published(company_CW).detach().numpy())


Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

REGION, LICENCES = "region", "licences"
"""Fields of a company's record; where a source has neither, all companies are peers."""
LAID_OUT = 1 << 19
"""Votes that are laid out at a time, 2 MB, or those of one notice."""


def groups_of(profile: Side) -> sparse.csr_array:
    """(P, G) the groups of each record, one for its region with each of its licences, as shares that sum to 1.

    Groups that no record is in have no column: there may be as many as all regions times all licences. What is unknown
    is a value like others. The codes are those of the training set's vocabulary, in which rare values are one.
    """
    region, licences = _items(profile, REGION), _items(profile, LICENCES)
    # One region a record, some licences each: a group's number is made of both codes.
    first = region.indices[region.indptr[:-1]] if profile.rows else np.empty(0, np.int64)
    per_row = np.diff(licences.indptr)
    group = np.repeat(first.astype(np.int64), per_row) * licences.shape[1] + licences.indices
    found, group = np.unique(group, return_inverse=True)
    share = np.repeat(1 / np.maximum(per_row, 1), per_row).astype(np.float32)
    return from_ends(share, group, licences.indptr, (profile.rows, len(found)))


def _items(side: Side, name: str) -> sparse.csr_array:
    """(R, size) ones: the codes of a field's items; all of them unknown, code 0, where there is no such field."""
    for column, field in enumerate(side.schema["attributes"]):
        if field["name"] == name:
            lengths, first = side.attribute_lengths[:, column], side.attribute_starts()[:, column]
            ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
            at = np.arange(ends[-1]) + np.repeat(first - ends[:-1], lengths)
            codes = side.attribute_values[at].astype(np.int64) - field["base"]
            return from_ends(np.ones(len(codes), np.float32), codes, ends, (side.rows, field["size"]))
    return sparse.csr_array(np.ones((side.rows, 1), np.float32))


class Peers:
    """The groups of the companies as of a moment."""

    def __init__(self, groups_PG: sparse.csr_array, profile_C: Int64) -> None:
        """`profile_C`: each company's newest record known, a row of `groups_PG`; -1 where there is none."""
        has = profile_C >= 0
        ends = np.concatenate([[0], np.cumsum(has)])
        ones = np.ones(ends[-1], np.float32)
        record_CP = from_ends(ones, profile_C[has], ends, (len(profile_C), groups_PG.shape[0]))
        self._share_CG = (record_CP @ groups_PG).tocsr()
        members_G = np.bincount(self._share_CG.indices, minlength=groups_PG.shape[1])
        belongs_CG = self._share_CG.sign()
        self._mean_CG = (belongs_CG @ sparse.diags_array(1 / np.maximum(members_G, 1).astype(np.float32))).tocsr()

    def lent(self, votes: sparse.csr_array, company_BM: Int64, asked_BM: Bool) -> Float32:
        """(B, M) the mean vote (of `votes`, (B, C)) over each of a company's groups, averaged over its groups; 0 where
        not `asked`, and for a company without a record."""
        found = np.zeros(company_BM.shape, np.float32)
        row, place = np.nonzero(asked_BM)
        share_AG = self._share_CG[company_BM[row, place]]
        if not share_AG.nnz:
            return found
        of = np.repeat(np.arange(len(row)), np.diff(share_AG.indptr))
        part = share_AG.data * _looked_up(votes @ self._mean_CG, row[of], share_AG.indices)
        found[row, place] = np.bincount(of, part, len(row))
        return found


def _looked_up(vote_BG: sparse.csr_array, row: npt.NDArray[np.integer], group: npt.NDArray[np.integer]) -> Float32:
    """(n,) the votes at these places, whose rows ascend. Some rows are laid out at a time: to find places one by one in
    sparse rows takes ten times as long."""
    found, height = np.empty(len(row), np.float32), max(1, LAID_OUT // vote_BG.shape[1])
    for start in range(0, vote_BG.shape[0], height):
        part = slice(*np.searchsorted(row, [start, start + height]))
        found[part] = vote_BG[start : start + height].toarray()[row[part] - start, group[part]]
    return found


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


NEWCOMERS = ("newcomer", "newcomer's peers", "newcomer's record", "newcomer's towers")
"""Signals of a company of which no bid is known, 0 for others: that it is one, what its peers do, how long its record
is known, and its cosine. Without them it would stand below nearly all that have a vote or a count, whatever it is."""
FIXED = ("towers", "alike notices", "near notices", "co-bidders", "bids of late", "bids", "last bid", *NEWCOMERS)
"""The signals that every source has; those of the counted fields follow."""


@dataclass(frozen=True)
class Candidates:
    company_BM: Int64
    """Company rows, ascending but for -1 where one was found twice, or none."""
    signal_BMS: Float32


def names_of(counted: Sequence[str]) -> tuple[str, ...]:
    """The signals in their order, for the counted fields named."""
    return (*FIXED, *(f"same {name}" for name in counted))


def candidates_of(evidence: Evidence, notice_rows: Int64, most: int, counted: Sequence[str]) -> Candidates:
    """Retrieve up to `most` companies that may bid on each notice, by the towers and by both kinds of neighbours, and
    describe them.

    `counted`: the fields counted, in the order of the blend; one the notices do not have is all zeros.
    """
    query_BD = evidence.notice_ND[notice_rows]
    alike, near = evidence.alike.votes(notice_rows), evidence.near.votes(notice_rows)
    share = max(1, min(most // 3, evidence.companies))
    by_votes = [largest(_of_eligible(votes, notice_rows, evidence.eligible), share) for votes in (alike, near)]
    company_BM = _union(_by_towers(evidence, notice_rows, share), *by_votes)
    score_BM = np.einsum("bd,bmd->bm", query_BD, evidence.company_CD[company_BM])
    met_BM = evidence.company_bidders.met(likely(near), company_BM)
    newcomer_BM = evidence.newcomer_C[company_BM] & (company_BM >= 0)
    lent_BM = evidence.peers.lent(near, company_BM, newcomer_BM)
    signals = {
        "towers": score_BM,
        "alike notices": np.log(entries(alike, company_BM) + LEAST),
        "near notices": np.log(entries(near, company_BM) + LEAST),
        "co-bidders": np.log(np.maximum(met_BM, 0) + LEAST),
        "bids of late": evidence.recent_C[company_BM],
        "bids": evidence.lasting_C[company_BM],
        "last bid": evidence.last_bid_C[company_BM],
        "newcomer": newcomer_BM,
        "newcomer's peers": newcomer_BM * np.log(lent_BM + LEAST),
        "newcomer's record": newcomer_BM * evidence.record_age_C[company_BM],
        "newcomer's towers": newcomer_BM * score_BM,
        **{f"same {name}": _same(evidence, name, notice_rows, company_BM) for name in counted},
    }
    in_order = [signals[name] for name in names_of(counted)]
    return Candidates(company_BM, np.stack(in_order, axis=2).astype(np.float32))


def _same(evidence: Evidence, name: str, notice_rows: Int64, company_BM: Int64) -> Float32:
    """(B, M) bids of each candidate on notices with the same value of a counted field."""
    if name not in evidence.counts:
        return np.zeros(company_BM.shape, np.float32)
    bids_BM = looked_up(evidence.counts[name], evidence.fields.counted[name][notice_rows], company_BM)
    return np.asarray(np.log1p(SCALE * bids_BM), np.float32)


def _by_towers(evidence: Evidence, notice_rows: Int64, most: int) -> Int64:
    """(B, K) the known companies of the largest cosine that may bid; -1 where there are no more."""
    allowed_BK = evidence.eligible.mask(notice_rows, evidence.known)
    rows, score = top_k(evidence.notice_ND[notice_rows], evidence.known_KD, most, allowed_BK)
    return np.where(np.isneginf(score), -1, evidence.known[rows])


def _of_eligible(votes: sparse.csr_array, notice_rows: Int64, eligible: Eligible) -> sparse.csr_array:
    """The votes (B, C) for companies that may bid."""
    row = np.repeat(np.arange(len(notice_rows)), np.diff(votes.indptr))
    counts = eligible.pairs(notice_rows[row], votes.indices)
    ends = np.concatenate([[0], np.cumsum(counts)])[votes.indptr]
    return from_ends(votes.data[counts], votes.indices[counts], ends, votes.shape)


def _union(*columns: Int64) -> Int64:
    """(B, M) the distinct companies of each row, ascending; -1 for repeated ones and for places that are empty."""
    company_BM = np.sort(np.concatenate(columns, axis=1), axis=1)
    repeated = np.zeros(company_BM.shape, bool)
    repeated[:, 1:] = company_BM[:, 1:] == company_BM[:, :-1]
    return np.where(repeated, -1, company_BM)
