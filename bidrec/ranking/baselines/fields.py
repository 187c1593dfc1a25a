"""What of a training set's notices the rankers over sparse evidence read: fields to count by, attributes, words.

Reads   runs/ID/training_set (notice attributes and text)
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bidrec.ranking.baselines.history import NoticeFields, attribute_rows, cross, text_rows
from bidrec.training_set.load import TrainingSet

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
