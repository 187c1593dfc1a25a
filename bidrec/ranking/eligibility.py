"""Who may bid on what: a notice's region and licence limits against what each company was known to be at a moment.

Reads   runs/ID/training_set/{notice/limits,profile/standing}.{npy,parquet}

A company may bid where the notice states no regions or its region is among them or unknown, and likewise with the
licences, of which one is enough. The answer is worked out for distinct limits x distinct standings, of those asked
about only: nothing of the size notices x companies is ever held.

Dimension letters: N notices, C companies, B notices asked about, M companies asked about, U distinct limits,
V distinct standings.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy import sparse

from bidrec.config import Ranking
from bidrec.ranking.counts import from_ends
from bidrec.ranking.ground_truth import newest_profiles
from bidrec.training_set.arrays import TrainingSet
from bidrec.training_set.limits import COLUMNS

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Eligibility:
    """The limits of a training set's notices; `as_of` holds its companies against them."""

    ts: TrainingSet
    rules: tuple["Rule", ...]
    """Those of the regions and of the licences; without any, everybody may bid on everything."""

    @classmethod
    def of(cls, ts: TrainingSet, settings: Ranking) -> "Eligibility":
        """No rule holds where `settings.eligibility` is off."""
        if not settings.eligibility:
            return cls(ts, ())
        limits = pq.ParquetFile(ts.folder / "notice" / "limits.parquet").read()
        standings = pq.ParquetFile(ts.folder / "profile" / "standing.parquet").read()
        lists = ((limits[name].combine_chunks(), standings[name].combine_chunks()) for name in COLUMNS)
        return cls(ts, tuple(Rule.of(wanted, held) for wanted, held in lists))

    def as_of(self, moment: int) -> "Eligible":
        """With the newest profiles known strictly before `moment` (epoch seconds UTC); of a company without one
        nothing is known, so that it may bid."""
        newest_C = newest_profiles(self.ts, moment)
        standing_C, has_one = np.zeros(len(newest_C), np.int64), newest_C >= 0
        standing_C[has_one] = self.ts.profile_standing[newest_C[has_one]]
        return Eligible(self.rules, self.ts.notice_limits, standing_C)


@dataclass(frozen=True)
class Eligible:
    """As of a moment. Rows are the training set's."""

    rules: tuple["Rule", ...]
    limits_N: Numbers
    standing_C: Int64

    def mask(self, notice_rows: Int64, company_rows: Int64 | None = None) -> Bool:
        """(B,) and (M,), or all companies -> (B, M): whether each company may bid on each notice."""
        standing_M = self.standing_C if company_rows is None else self.standing_C[company_rows]
        limits_U, of_notice = _distinct(self.limits_N[notice_rows])
        if not self._limit(limits_U):
            return np.broadcast_to(True, (len(notice_rows), len(standing_M)))
        standing_V, of_company = _distinct(standing_M)
        return np.take(self._allowed(limits_U, standing_V)[of_notice], of_company, axis=1)

    def pairs(self, notice_rows: Int64, company_rows: Int64) -> Bool:
        """Whether each company may bid on the notice beside it, in the shape the two have together, such as (B, 1) and
        (B, M). A company row below 0 means nothing."""
        limits_U, of_notice = _distinct(self.limits_N[notice_rows])
        if not self._limit(limits_U):
            return np.ones(np.broadcast_shapes(notice_rows.shape, company_rows.shape), bool)
        standing_V, of_company = _distinct(self.standing_C[company_rows])
        return np.asarray(self._allowed(limits_U, standing_V)[of_notice, of_company], bool)

    def _limit(self, limits_U: Int64) -> bool:
        """Whether any of them shuts out anybody."""
        return any(not rule.anybody[limits_U].all() for rule in self.rules)

    def _allowed(self, limits_U: Int64, standing_V: Int64) -> Bool:
        allowed_UV = np.ones((len(limits_U), len(standing_V)), bool)
        for rule in self.rules:
            allowed_UV &= rule.allows(limits_U, standing_V)
        return allowed_UV


@dataclass(frozen=True)
class Rule:
    """One kind of limit: the regions, or the licences."""

    wanted: sparse.csr_array
    """(limits, words) 1 where a notice's list has the word."""
    held: sparse.csr_array
    """(standings, words) 1 where a company's has."""
    anybody: Bool
    """(limits,) nothing is asked for."""
    unknown: Bool
    """(standings,) what the company is, is not known."""

    @classmethod
    def of(cls, wanted: pa.ListArray, held: pa.ListArray) -> "Rule":
        words = pa.concat_arrays([wanted.flatten(), held.flatten()]).dictionary_encode()
        code, first = words.indices.to_numpy(), len(wanted.flatten())
        return cls(
            _matrix(wanted, code[:first], len(words.dictionary)),
            _matrix(held, code[first:], len(words.dictionary)),
            wanted.is_null().to_numpy(zero_copy_only=False),
            held.is_null().to_numpy(zero_copy_only=False),
        )

    def allows(self, limits_U: Int64, standing_V: Int64) -> Bool:
        """(U, V)"""
        common_UV = (self.wanted[limits_U] @ self.held[standing_V].T).toarray() > 0
        return common_UV | self.anybody[limits_U, None] | self.unknown[standing_V]


def _matrix(lists: pa.ListArray, code: Numbers, words: int) -> sparse.csr_array:
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    ends = np.concatenate([[0], np.cumsum(lengths)])
    return from_ends(np.ones(len(code), np.float32), code, ends, (len(lists), words))


def _distinct(codes: Numbers) -> tuple[Int64, Int64]:
    """The values that occur, ascending, and where each code is among them, in its shape."""
    occurs = np.zeros(int(codes.max(initial=-1)) + 1, bool)
    occurs[codes] = True
    place = np.cumsum(occurs) - 1
    return np.flatnonzero(occurs), place[codes]
