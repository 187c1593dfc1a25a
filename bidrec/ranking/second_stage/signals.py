"""Candidates of a block of notices, and what is known of each: (B, M) companies and (B, M, S) signals.

Dimension letters: B notices of a block, M candidates of each, S signals, C companies.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bidrec.ranking.baselines.cobidders import likely
from bidrec.ranking.baselines.counts import SCALE
from bidrec.ranking.baselines.summed import LEAST
from bidrec.ranking.eligibility import Eligible
from bidrec.ranking.lookup import entries, largest, looked_up
from bidrec.ranking.second_stage.evidence import Evidence
from bidrec.ranking.sparse_rows import from_ends
from bidrec.ranking.topk import top_k

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

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
