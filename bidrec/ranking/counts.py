"""Bids known at a moment, counted by company and by fields of the notices, as sparse matrices.

Reads   runs/ID/training_set (pairs, notice attributes and text)
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bidrec.training_set.arrays import Side, TrainingSet
from bidrec.training_set.splits import DAY

Numbers = npt.NDArray[np.integer]


def from_places(
    value: npt.NDArray[np.floating], row: Numbers, column: Numbers, shape: tuple[int, int]
) -> sparse.csr_array:
    """The values (n,) at their rows and columns (n,); those at one place are summed. A row's columns
    ascend."""
    return _places(value, row, column, shape).tocsr()


def from_crowded(
    value: npt.NDArray[np.floating], row: Numbers, column: Numbers, shape: tuple[int, int]
) -> sparse.csr_array:
    """The same for rows of thousands of values, which to sort one by one takes twice as long as to lay all of them out
    by column and then by row. What is at one place is summed in the order given."""
    places = _places(value, row, column, shape)
    places.has_canonical_format = True  # or SciPy would sort each column already
    rows = places.tocsc().tocsr()
    rows.has_canonical_format = False
    rows.sum_duplicates()
    return rows


def stacked(matrices: Iterable[sparse.csr_array], columns: int) -> sparse.csr_array:
    """(all their rows, columns) float32, the rows of one below those of another; a copy."""
    return sparse.vstack([sparse.csr_array((0, columns), dtype=np.float32), *matrices], format="csr")


def _places(value: npt.NDArray[np.floating], row: Numbers, column: Numbers, shape: tuple[int, int]) -> sparse.coo_array:
    kind = _kind(len(value), shape)
    return sparse.coo_array((value, (row.astype(kind, copy=False), column.astype(kind, copy=False))), shape=shape)


def from_ends(
    value: npt.NDArray[np.floating], column: Numbers, end: Numbers, shape: tuple[int, int]
) -> sparse.csr_array:
    """The values (n,) row after row, row r between the ends (rows + 1,) at r and r + 1, each in its column (n,)."""
    kind = _kind(len(value), shape)
    return sparse.csr_array((value, column.astype(kind, copy=False), end.astype(kind, copy=False)), shape=shape)


def _kind(values: int, shape: tuple[int, int]) -> type[np.signedinteger]:
    return np.int32 if max(values, *shape) <= np.iinfo(np.int32).max else np.int64


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


# What a source may call it, the most telling first.
BUYER = ("buyer_id", "unit", "department", "parent")
UNIT = ("unit", "buyer_id", "department", "parent")
PLACE = ("place", "place_code", "region")
CATEGORY = ("category", "subcategory", "work_type")

COUNTED: dict[str, tuple[tuple[str, ...], ...]] = {
    "unit": (UNIT,),
    "department": (("department",),),
    "place": (PLACE,),
    "place code": (("place_code",),),
    "category": (CATEGORY,),
    "subcategory": (("subcategory",),),
    "place and category": (PLACE, CATEGORY),
    "place and subcategory": (PLACE, ("subcategory",)),
    "place code and category": (("place_code",), CATEGORY),
    "unit and category": (UNIT, CATEGORY),
    "unit and place": (UNIT, PLACE),
    "unit and value": (UNIT, ("value_band",)),
    "category and value": (CATEGORY, ("value_band",)),
}
"""What a company's bids are counted by: one field of the notice or two together, each by the names a source may give
it. What a source does not have is not counted."""


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


@dataclass(frozen=True)
class Fields:
    """What of a training set's notices does not depend on the moment; built once."""

    notice: NoticeFields
    counted: dict[str, Int64]
    """Name -> (N,) codes, 0 for unknown."""
    attributes: sparse.csr_array
    text: sparse.csr_array

    @classmethod
    def of(cls, ts: TrainingSet) -> "Fields":
        notice = NoticeFields(ts.notice)
        counted = {}
        for name, parts in COUNTED.items():
            codes = [found for part in parts if (found := notice.codes(*part)) is not None]
            if len(codes) == len(parts):
                counted[name] = codes[0] if len(codes) == 1 else cross(codes[0], codes[1])
        return cls(notice, counted, attribute_rows(ts.notice), text_rows(ts.notice))


def cross(left_N: Int64, right_N: Int64) -> Int64:
    """(N,) codes of the combinations that occur; 0 where either part is unknown."""
    pair = np.where((left_N > 0) & (right_N > 0), left_N * (right_N.max(initial=0) + 1) + right_N, 0)
    codes = np.unique(np.append(pair, 0), return_inverse=True)[1]
    return codes[:-1].astype(np.int64)


def attribute_rows(side: Side) -> sparse.csr_array:
    """(N, attribute ids) ones; an unknown or missing value is no attribute."""
    unknown = np.zeros(side.attribute_rows, bool)
    unknown[[field["base"] for field in side.schema["attributes"]]] = True
    said = ~unknown[side.attribute_values]
    ends = _ends(said)[_ends(side.attribute_lengths.sum(axis=1, dtype=np.int64))]
    ones = np.ones(ends[-1], np.float32)
    return _summed(from_ends(ones, side.attribute_values[said], ends, (side.rows, side.attribute_rows)))


def text_rows(side: Side) -> sparse.csr_array:
    """(N, text ids) TF-IDF weights."""
    shape = side.rows, side.text_rows
    return _summed(from_ends(side.text_weights.copy(), side.text_values.copy(), _ends(side.text_lengths), shape))


def _ends(lengths: npt.NDArray[np.integer | np.bool_]) -> Int64:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _summed(rows: sparse.csr_array) -> sparse.csr_array:
    """In place: what is said twice of a notice once, columns ascending."""
    rows.sum_duplicates()
    return rows


def unit_rows(rows: sparse.csr_array) -> sparse.csr_array:
    """Every row that is not empty, to length 1, float32."""
    length = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    scale = np.divide(1, length, out=np.zeros_like(length), where=length > 0)
    return (sparse.diags_array(scale.astype(np.float32)) @ rows).tocsr()
