"""One feature table -> arrays: every tagged field through its fitted scale, vocabulary or IDF.

Reads   one table of features/, the tags of its fields
Writes  <side>/*.npy, <side>/vocabulary.parquet, and the side's entry of schema.json

A side is `notice`, `profile` or `version`; all three know all kinds of field, so that a field may be added to any of
them by its tag alone. Rows come and go in blocks: no table has to fit in memory.
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

from bidrec.features.schema import Field
from bidrec.operations import log
from bidrec.operations.progress import Counted
from bidrec.sql.words import quoted
from bidrec.storage.intact import require_intact
from bidrec.training_set import text
from bidrec.training_set.npy import Growing, read
from bidrec.training_set.rows import SideRows, seconds
from bidrec.training_set.scaling import Scale, check_vectors, fit_scale
from bidrec.training_set.vocabulary import Vocabulary, fit_vocabulary, read_vocabularies, write_vocabularies

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
