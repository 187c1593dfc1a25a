"""What the baselines learn from: bids known before the cutoff, and the notices' fields as codes and as sparse rows.

Reads   runs/ID/training_set (notice attributes and text, pairs)
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bidrec.training_set.load import Side, TrainingSet
from bidrec.training_set.splits import DAY

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class KnownBids:
    """The P bids known before the cutoff: (P,) notice rows, company rows, and ages at the cutoff in days."""

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

    def newest(self, notices: int) -> "KnownBids":
        """The bids on the newest so many notices with a known bid; rows are in the order of publication."""
        known = np.unique(self.notice)
        kept = self.notice >= (known[-notices] if len(known) > notices else 0)
        return KnownBids(self.notice[kept], self.company[kept], self.age_days[kept], self.companies)

    def weights(self, half_life: float) -> Float64:
        """(P,) 1 for a bid opened just now, halved every `half_life` days."""
        return np.exp2(-self.age_days / half_life)

    def popularity(self, half_life: float) -> Float64:
        """(C,) each company's bids, decayed."""
        return np.bincount(self.company, self.weights(half_life), self.companies).astype(np.float64)


class NoticeFields:
    """The categorical fields of all N notices, by name."""

    def __init__(self, side: Side) -> None:
        self._side, self._first = side, side.attribute_starts()

    def codes(self, *names: str) -> Int64 | None:
        """(N,) codes of the first of these fields that says anything, 0 where it is unknown; None where none does."""
        fields = {
            field["name"]: (column, field["base"]) for column, field in enumerate(self._side.schema["attributes"])
        }
        for name in names:
            if name in fields:
                column, base = fields[name]
                codes = self._side.attribute_values[self._first[:, column]].astype(np.int64) - base
                if codes.any():
                    return codes
        return None


def cross(left_N: Int64, right_N: Int64) -> Int64:
    """(N,) codes of the combinations that occur; 0 where either part is unknown."""
    pair = np.where((left_N > 0) & (right_N > 0), left_N * (right_N.max(initial=0) + 1) + right_N, 0)
    codes = np.unique(np.append(pair, 0), return_inverse=True)[1]
    return codes[:-1].astype(np.int64)


def attribute_rows(side: Side) -> sparse.csr_array:
    """(N, attribute ids) ones; an unknown or missing value is no attribute."""
    rows = np.repeat(np.arange(side.rows), side.attribute_lengths.sum(axis=1, dtype=np.int64))
    unknown = np.zeros(side.attribute_rows, bool)
    unknown[[field["base"] for field in side.schema["attributes"]]] = True
    said = ~unknown[side.attribute_values]
    ones = np.ones(np.count_nonzero(said), np.float32)
    return sparse.csr_array((ones, (rows[said], side.attribute_values[said])), shape=(side.rows, side.attribute_rows))


def text_rows(side: Side) -> sparse.csr_array:
    """(N, text ids) TF-IDF weights."""
    rows = np.repeat(np.arange(side.rows), side.text_lengths)
    return sparse.csr_array((side.text_weights, (rows, side.text_values)), shape=(side.rows, side.text_rows))


def unit_rows(rows: sparse.csr_array) -> sparse.csr_array:
    """Every row that is not empty, to length 1, float32."""
    length = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    scale = np.divide(1, length, out=np.zeros_like(length), where=length > 0)
    return (sparse.diags_array(scale.astype(np.float32)) @ rows).tocsr()
