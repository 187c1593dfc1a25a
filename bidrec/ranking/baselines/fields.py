"""What of a training set's notices the rankers over sparse evidence read: fields to count by, attributes, words.

Reads   runs/ID/training_set (notice attributes and text)
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bidrec.ranking.sparse_rows import from_ends
from bidrec.training_set.load import Side, TrainingSet

Int64 = npt.NDArray[np.int64]

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
