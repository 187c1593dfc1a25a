"""Feature tables -> arrays: every tagged field through its fitted scale, vocabulary or IDF.

Reads   tables of features/, the tags of their fields
Writes  <side>/*.npy, <side>/vocabulary.parquet, and the side's entry of schema.json

A side is `notice`, `profile` or `version`; all three support every kind of field, so that a field needs only its tag.
Rows are read and written in blocks: no table has to fit in memory. Id 0 of a vocabulary stands for unknown and missing.
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bidrec.errors import ContractError
from bidrec.features.schema import Field
from bidrec.operations import log
from bidrec.operations.progress import Counted
from bidrec.sql.words import quoted
from bidrec.storage.intact import require_intact
from bidrec.training_set import text
from bidrec.training_set.arrays import Growing, SideRows, read, seconds

CLIP = 5.0
"""Standard deviations beyond which a value says no more than that it is extreme."""
IS_MISSING = " is missing"
"""Ends the name of a column that is 1 where a field has no value."""


@dataclass(frozen=True)
class Scale:
    """How one field becomes columns: `width` of them, and one more that flags a missing value if `missing_flag`."""

    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]
    missing_flag: bool
    is_vector: bool

    @property
    def width(self) -> int:
        return len(self.mean)

    def columns(self, name: str) -> list[str]:
        """Names of the columns made of the field."""
        values = [f"{name}[{i}]" for i in range(self.width)] if self.is_vector else [name]
        return values + [name + IS_MISSING] * self.missing_flag

    def apply(self, values: pa.Array) -> npt.NDArray[np.float32]:
        """(rows, columns) float32: normalised, clipped to ±CLIP, missing 0; a flag is 1 where the value is missing."""
        raw = dense_block(values, self.width)
        missing = np.isnan(raw)
        scaled = np.where(missing, 0.0, np.clip((raw - self.mean) / self.std, -CLIP, CLIP))
        if self.missing_flag:
            scaled = np.concatenate([scaled, missing.any(axis=1, keepdims=True)], axis=1)
        return scaled.astype(np.float32)

    def as_dict(self) -> dict[str, Any]:
        return {
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
            "missing_flag": self.missing_flag,
            "vector": self.is_vector,
        }

    @classmethod
    def from_dict(cls, entry: dict[str, Any]) -> "Scale":
        return cls(np.array(entry["mean"]), np.array(entry["std"]), entry["missing_flag"], entry["vector"])


def fit_scale(values: pa.Array, is_vector: bool) -> Scale:
    """Fit one field on the numbers, or lists of numbers, of its training rows.

    A column that is constant, or never present, gets the scale 1.
    """
    width = 1
    if is_vector:
        width = (pc.max(pc.list_value_length(values)).as_py() or 0) if len(values) else 0
    raw = dense_block(values, width)
    missing = np.isnan(raw)
    present = np.maximum(np.count_nonzero(~missing, axis=0), 1)
    mean = np.where(missing, 0.0, raw).sum(axis=0) / present
    variance = (np.where(missing, 0.0, raw - mean) ** 2).sum(axis=0) / present
    std = np.sqrt(variance)
    # Rounding leaves a constant column with a tiny spread: dividing by that would make noise look like signal.
    std = np.where(std > 1e-9 * np.maximum(np.abs(mean), 1e-30), std, 1.0)
    return Scale(mean, std, bool(missing.any()), is_vector)


def check_vectors(name: str, values: pa.Array, width: int | None = None) -> None:
    """Raise ContractError (65) where a vector has not `width` numbers, or holds NaN, an infinite or a missing number.

    width: None for that of the most vectors here. NULL and an empty list are no vector, which is allowed.
    """
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    there = lengths[lengths > 0]
    if not len(there):
        return
    wanted = int(np.bincount(there).argmax()) if width is None else width
    other = there[there != wanted]
    if len(other):
        raise ContractError(
            f"{name}: {len(other)} of {len(there)} vectors have not {wanted} numbers but, for instance, {other[0]}",
            hint="a field's vectors come from one model: give the others NULL, or train again after changing all",
        )
    items = pc.list_flatten(values).cast(pa.float64()).to_numpy(zero_copy_only=False)
    broken = int(np.count_nonzero(~np.isfinite(items).reshape(-1, wanted).all(axis=1)))
    if broken:
        raise ContractError(
            f"{name}: {broken} of {len(there)} vectors hold NaN, an infinite or a missing number",
            hint="give such a row NULL: it then counts as without a vector",
        )


def dense_block(values: pa.Array, width: int) -> npt.NDArray[np.float64]:
    """(rows, width) float64 of numbers, or of lists of `width` (check_vectors); NaN where missing or not finite."""
    if not pa.types.is_list(values.type):
        raw = values.cast(pa.float64()).to_numpy(zero_copy_only=False).reshape(-1, 1)
        return np.where(np.isfinite(raw), raw, np.nan)
    block = np.full((len(values), width), np.nan)
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    items = pc.list_flatten(values).cast(pa.float64()).to_numpy(zero_copy_only=False)
    row = np.repeat(np.arange(len(values)), lengths)
    at = np.arange(len(items)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    kept = (at < width) & np.isfinite(items)
    block[row[kept], at[kept]] = items[kept]
    return block


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


_logger = log.get("training_set")
MISSING_TIME = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Fit:
    """What was learned from the training rows of one side, by field name in the order of the schema."""

    scales: dict[str, Scale] = dataclasses.field(default_factory=dict)
    vocabularies: dict[str, Vocabulary] = dataclasses.field(default_factory=dict)
    bags: frozenset[str] = frozenset()
    idf: dict[str, npt.NDArray[np.float32]] = dataclasses.field(default_factory=dict)
    ages: tuple[str, ...] = ()
    rows: int = 0
    latest: int | None = None
    before: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The side's entry of schema.json."""
        attributes, base = [], 0
        for name, vocabulary in self.vocabularies.items():
            read_as = "bag" if name in self.bags else "categorical"
            attributes.append({"name": name, "read": read_as, "base": base, "size": vocabulary.size})
            base += vocabulary.size
        texts, text_base = [], 0
        for name, idf in self.idf.items():
            texts.append({"name": name, "base": text_base, "buckets": len(idf)})
            text_base += len(idf)
        return {
            "dense": [{"name": name, **scale.as_dict()} for name, scale in self.scales.items()],
            "dense_columns": [column for name, scale in self.scales.items() for column in scale.columns(name)],
            "attributes": attributes,
            "attribute_rows": base,
            "ages": list(self.ages),
            "text": texts,
            "text_rows": text_base,
            "fit": {"rows": self.rows, "latest": self.latest, "before": self.before},
        }


def expression(f: Field) -> str:
    """SQL: the field's column as the type its way of reading needs."""
    name = quoted(f.name)
    number = f"CAST({name} AS DOUBLE)"
    return {
        # Not greatest(): of NULL and 0 that is 0.
        "dense": f"ln(1 + CASE WHEN {number} < 0 THEN 0 ELSE {number} END)" if f.scale == "log1p" else number,
        "vector": f"CAST({name} AS FLOAT[])",
        "categorical": f"CAST({name} AS VARCHAR)",
        "bag": f"CAST({name} AS VARCHAR[])",
        "text": f"CAST({name} AS VARCHAR)",
        "age": seconds(f.name),
    }[f.read]


def fit(side: SideRows, fields: list[Field], before: int) -> Fit:
    """Fit every field on the rows of a side that were known before the moment `before`, one column at a time; of texts,
    which may be as long as they like, a block of one.

    Raises ContractError (65) where a vector is broken or of another length than the others.
    """
    training = np.flatnonzero(side.known_at < before)
    fitted = Counted(_logger, f"fitting {side.table}", sum(f.read not in ("age", "text") for f in fields))

    def columns(*reads: str) -> Iterator[tuple[Field, pa.Array]]:
        for f in fields:
            if f.read in reads:
                yield f, side.column(expression(f), training)
                fitted()

    return Fit(
        scales={f.name: _fit_scale(values, f) for f, values in columns("dense", "vector")},
        vocabularies={f.name: fit_vocabulary(values) for f, values in columns("categorical", "bag")},
        bags=frozenset(f.name for f in fields if f.read == "bag"),
        idf={f.name: _fit_idf(side, f, before) for f in fields if f.read == "text"},
        ages=tuple(f.name for f in fields if f.read == "age"),
        rows=len(training),
        latest=int(side.known_at[training].max()) if len(training) else None,
        before=before,
    )


def _fit_scale(values: pa.Array, f: Field) -> Scale:
    if f.read == "vector":
        check_vectors(f.name, values)
    return fit_scale(values, f.read == "vector")


def _fit_idf(side: SideRows, f: Field, before: int) -> npt.NDArray[np.float32]:
    frequency = text.DocumentFrequency(text.BUCKETS)
    counted = Counted(_logger, f"counting the terms of {f.name}", len(side.known_at))
    first = 0
    for batch in side.batches({f.name: expression(f)}):
        titles = batch[f.name].filter(pa.array(side.known_at[first : first + len(batch)] < before))
        for rows in _stretches([titles], len(titles)):
            frequency.add(titles[rows].to_pylist())
        counted(len(batch))
        first += len(batch)
    return frequency.idf()


def _stretches(texts: list[pa.Array], rows: int) -> Iterator[slice]:
    """The rows in parts, none of whose texts together are many more bytes than are hashed at once."""
    lengths = [pc.fill_null(pc.binary_length(values), 0).to_numpy(zero_copy_only=False) for values in texts]
    return text.stretches(sum(lengths, np.zeros(rows, np.int64)))


def write_fit(folder: Path, fitted: Fit) -> None:
    """Write what `read_fit` needs besides schema.json: the known values and the IDF."""
    folder.mkdir(parents=True, exist_ok=True)
    write_vocabularies(folder / "vocabulary.parquet", fitted.vocabularies)
    with Growing(folder / "idf.npy", np.float32) as idf:
        for values in fitted.idf.values():
            idf.append(values)


def read_fit(folder: Path, entry: dict[str, Any]) -> Fit:
    """The fit behind a written side, from its folder and its entry of schema.json.

    Raises ContractError (65) where one of its files was changed since it was written.
    """
    require_intact(folder.parent, [f"{folder.name}/{file}" for file in ("vocabulary.parquet", "idf.npy")])
    idf = np.asarray(read(folder / "idf.npy"))
    names = [attribute["name"] for attribute in entry["attributes"]]
    return Fit(
        scales={scale["name"]: Scale.from_dict(scale) for scale in entry["dense"]},
        vocabularies=read_vocabularies(folder / "vocabulary.parquet", names),
        bags=frozenset(a["name"] for a in entry["attributes"] if a["read"] == "bag"),
        idf={t["name"]: idf[t["base"] : t["base"] + t["buckets"]] for t in entry["text"]},
        ages=tuple(entry["ages"]),
        **entry["fit"],
    )


def encode(
    folder: Path,
    side: SideRows,
    fields: list[Field],
    fitted: Fit,
    encoded: Callable[[int], None] = lambda rows: None,
) -> None:
    """Write the arrays of one side, block by block; `encoded` is told of each how many rows it was.

    Raises ContractError (65) where a vector is broken or of another length than those that were fitted.
    """
    entry = fitted.as_dict()
    folder.mkdir(parents=True, exist_ok=True)
    with (
        Growing(folder / "dense.npy", np.float32, len(entry["dense_columns"])) as dense,
        Growing(folder / "attributes.values.npy", np.int32) as values,
        Growing(folder / "attributes.lengths.npy", np.int32, len(entry["attributes"])) as lengths,
        Growing(folder / "ages.npy", np.int64, len(fitted.ages)) as ages,
        Growing(folder / "text.values.npy", np.int32) as terms,
        Growing(folder / "text.weights.npy", np.float32) as weights,
        Growing(folder / "text.lengths.npy", np.int32) as title_lengths,
    ):
        for batch in side.batches({f.name: expression(f) for f in fields}):
            for name, scale in fitted.scales.items():
                if scale.is_vector:
                    check_vectors(name, batch[name], scale.width)
            dense.append(_columns(len(batch), [s.apply(batch[name]) for name, s in fitted.scales.items()], np.float32))
            block_values, block_lengths = _attributes(batch, fitted, entry)
            values.append(block_values)
            lengths.append(block_lengths)
            ages.append(_columns(len(batch), [_age(batch[name]) for name in fitted.ages], np.int64))
            for rows in _stretches([batch[t["name"]] for t in entry["text"]], len(batch)):
                block = _texts(batch[rows], fitted, entry)
                for file, part in zip((terms, weights, title_lengths), block, strict=True):
                    file.append(part)
            encoded(len(batch))


def _columns(rows: int, blocks: list[npt.NDArray[Any]], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    return np.concatenate([np.empty((rows, 0), dtype), *blocks], axis=1)


def _age(values: pa.Array) -> npt.NDArray[np.int64]:
    return pc.fill_null(values.cast(pa.int64()), int(MISSING_TIME)).to_numpy(zero_copy_only=False).reshape(-1, 1)


def _attributes(
    batch: pa.RecordBatch, fitted: Fit, entry: dict[str, Any]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Global ids in (row, field, item) order, and items per (row, field), at least one each."""
    items, lengths = [], np.ones((len(batch), len(entry["attributes"])), dtype=np.int32)
    for i, attribute in enumerate(entry["attributes"]):
        vocabulary = fitted.vocabularies[attribute["name"]]
        column = batch[attribute["name"]]
        if attribute["read"] == "bag":
            ids, lengths[:, i] = _bag_ids(column, vocabulary)
        else:
            ids = vocabulary.ids(column)
        items.append(ids + np.int32(attribute["base"]))
    return _jagged(items, lengths), lengths


def _bag_ids(column: pa.Array, vocabulary: Vocabulary) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Local ids of all lists, one after another, and their lengths; an empty or NULL list is one missing item."""
    given = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int32)
    lengths = np.maximum(given, 1)
    ids = np.zeros(int(lengths.sum()), dtype=np.int32)
    ids[np.repeat(given > 0, lengths)] = vocabulary.ids(pc.list_flatten(column))
    return ids, lengths


def _jagged(items: list[npt.NDArray[np.int32]], lengths: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Interleave fields' items, each in row order, into (row, field, item) order. lengths: (rows, fields)."""
    ends = np.cumsum(lengths.ravel(), dtype=np.int64)
    starts = (ends - lengths.ravel()).reshape(lengths.shape)
    values = np.empty(ends[-1] if len(ends) else 0, dtype=np.int32)
    for i, field_items in enumerate(items):
        count = lengths[:, i].astype(np.int64)
        within = np.arange(len(field_items)) - np.repeat(np.cumsum(count) - count, count)
        values[np.repeat(starts[:, i], count) + within] = field_items
    return values


def _texts(
    batch: pa.RecordBatch, fitted: Fit, entry: dict[str, Any]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Terms of all text fields of a row, field after field; values, weights, and terms per row."""
    rows = len(batch)
    found = [text.weighted_terms(batch[t["name"]].to_pylist(), fitted.idf[t["name"]]) for t in entry["text"]]
    values = [v + t["base"] for (v, _, _), t in zip(found, entry["text"], strict=True)]
    per_field = np.stack([lengths for _, _, lengths in found], axis=1) if found else np.zeros((rows, 0), np.int32)
    order = np.argsort(
        np.concatenate([np.repeat(np.arange(rows), n) for _, _, n in found] or [np.zeros(0, np.int64)]), kind="stable"
    )
    return (
        np.concatenate(values or [np.zeros(0, np.int64)])[order].astype(np.int32),
        np.concatenate([w for _, w, _ in found] or [np.zeros(0, np.float32)])[order],
        per_field.sum(axis=1).astype(np.int32),
    )
