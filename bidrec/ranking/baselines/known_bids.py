"""What the baselines learn from: the bids that were known before the cutoff.

Reads   runs/ID/training_set (pairs)
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bidrec.ranking.sparse_rows import from_crowded
from bidrec.training_set.load import TrainingSet
from bidrec.training_set.splits import DAY

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class KnownBids:
    """The P bids known before the cutoff: (P,) notice rows, ascending, company rows, and ages at the cutoff in
    days."""

    notice: Int64
    company: Int64
    age_days: Float64
    companies: int

    @classmethod
    def of(cls, ts: TrainingSet, cutoff: int) -> "KnownBids":
        """`cutoff` in epoch seconds UTC; a bid opened at the cutoff itself is not known yet."""
        known = ts.pair_known_at < cutoff
        return cls(
            notice=ts.pair_notice[known].astype(np.int64),
            company=ts.pair_company[known].astype(np.int64),
            age_days=(cutoff - ts.pair_known_at[known]) / DAY,
            companies=ts.companies,
        )

    def notices(self) -> tuple[Int64, Int64, Int64]:
        """The K notices with a known bid, ascending; which of them each bid is on (P,); how many bids each has (K,)."""
        first_P = np.diff(self.notice, prepend=-1) > 0
        begin_K = np.flatnonzero(first_P)
        return self.notice[begin_K], np.cumsum(first_P) - 1, np.diff(begin_K, append=len(self.notice))

    def newest(self, notices: int) -> "KnownBids":
        """The bids on the newest so many notices with a known bid; rows are in the order of publication."""
        known, *_ = self.notices()
        kept = slice(np.searchsorted(self.notice, known[-notices]) if len(known) > notices else 0, None)
        return KnownBids(self.notice[kept], self.company[kept], self.age_days[kept], self.companies)

    def weights(self, half_life: float) -> Float64:
        """(P,) 1 for a bid opened just now, halved every `half_life` days."""
        return np.exp2(-self.age_days / half_life)

    def counted(self, code_N: Int64, weight_P: Float64) -> sparse.csr_array:
        """(codes, C) float32: what each company's bids on notices with the same code weigh; nothing for code 0, which
        stands for an unknown one."""
        code_P = code_N[self.notice]
        said = code_P > 0
        shape = (int(code_N.max(initial=0)) + 1, self.companies)
        return from_crowded(weight_P[said], code_P[said], self.company[said], shape).astype(np.float32)

    def popularity(self, half_life: float) -> Float64:
        """(C,) each company's bids, decayed."""
        return np.bincount(self.company, self.weights(half_life), self.companies).astype(np.float64)
