"""Exact vocabularies: the values of a categorical or bag field that were seen often enough before the cutoff.

Reads   features/ (training rows only)
Writes  <side>/vocabulary.parquet: field, id, value, rows

Id 0 of every field stands for unknown and for missing, so a value that appears tomorrow needs no new row.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

MINIMUM_ROWS = 2


@dataclass(frozen=True)
class Vocabulary:
    """The known values of one field; values[i] has the local id i + 1."""

    values: pa.StringArray
    rows: npt.NDArray[np.int64]

    @property
    def size(self) -> int:
        """Ids of the field, the unknown one included."""
        return len(self.values) + 1

    def ids(self, values: pa.Array) -> npt.NDArray[np.int32]:
        """Local ids of an array of strings; 0 for one that is unknown or NULL."""
        found = pc.index_in(values, value_set=self.values, skip_nulls=True)
        return pc.add(pc.fill_null(found, -1), 1).to_numpy(zero_copy_only=False).astype(np.int32)


def fit_vocabulary(values: pa.Array) -> Vocabulary:
    """Count the values of one field over its training rows: an array of strings, or of lists of strings.

    Values in at least MINIMUM_ROWS rows are kept, the most frequent first, equals in the order of their text.
    """
    counted = pa.table({"value": _once_per_row(values)}).group_by("value").aggregate([([], "count_all")])
    kept = counted.filter(
        pc.and_(pc.is_valid(counted["value"]), pc.greater_equal(counted["count_all"], MINIMUM_ROWS))
    ).sort_by([("count_all", "descending"), ("value", "ascending")])
    return Vocabulary(_one_array(kept["value"]), kept["count_all"].to_numpy().astype(np.int64))


def _once_per_row(values: pa.Array) -> pa.Array:
    """The strings, each at most once for a row of a bag."""
    if not pa.types.is_list(values.type):
        return values.cast(pa.string())
    items = pa.table({"row": pc.list_parent_indices(values), "value": pc.list_flatten(values).cast(pa.string())})
    return items.group_by(["row", "value"]).aggregate([])["value"]


def _one_array(column: pa.ChunkedArray) -> pa.StringArray:
    return pa.concat_arrays([pa.array([], pa.string()), *column.chunks])


def write_vocabularies(path: Path, vocabularies: dict[str, Vocabulary]) -> None:
    """One row per known value, in the order of the fields and ids."""
    sizes = [len(v.values) for v in vocabularies.values()]
    table = pa.table(
        {
            "field": pa.array(
                [name for name, n in zip(vocabularies, sizes, strict=True) for _ in range(n)], pa.string()
            ),
            "id": pa.array(np.concatenate([np.arange(1, n + 1) for n in sizes] or [np.empty(0, int)]).astype(np.int32)),
            "value": pa.chunked_array([v.values for v in vocabularies.values()], pa.string()),
            "rows": pa.array(np.concatenate([v.rows for v in vocabularies.values()] or [np.empty(0, np.int64)])),
        }
    )
    pq.write_table(table, path)


def read_vocabularies(path: Path, fields: list[str]) -> dict[str, Vocabulary]:
    """The written vocabularies of the named fields, in their order."""
    table = pq.ParquetFile(path).read()
    found = {}
    for name in fields:
        rows = table.filter(pc.equal(table["field"], name)).sort_by("id")
        found[name] = Vocabulary(_one_array(rows["value"]), rows["rows"].to_numpy())
    return found
