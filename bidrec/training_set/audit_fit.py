"""The leak audit of what was fitted: vocabularies, IDF and scales, counted once more in the arrays they made.

Reads   a side of runs/ID/training_set/, in blocks
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from bidrec.errors import ContractError
from bidrec.training_set.load import Side, TrainingSet
from bidrec.training_set.npy import read
from bidrec.training_set.scaling import CLIP, IS_MISSING
from bidrec.training_set.text import MAXIMUM_TERMS
from bidrec.training_set.violations import blocks, refuse


def audit_fit(
    ts: TrainingSet, name: str, known_at: npt.NDArray[np.int64], block_rows: int, audited: Callable[[int], None]
) -> int:
    """Everything fitted on a side was fitted on its rows before the cutoff, all of them and no other. `audited` is told
    of the rows as they are done, so many at a time."""
    side: Side = getattr(ts, name)
    stated = side.schema["fit"]
    training = known_at < ts.cutoff
    rows = int(np.count_nonzero(training))
    if stated["before"] != ts.cutoff or (stated["latest"] is not None and stated["latest"] >= ts.cutoff):
        raise ContractError(f"{name}: fitted on rows up to {stated['latest']}, but training ends at {ts.cutoff}")
    if stated["rows"] != rows:
        raise ContractError(f"{name}: fitted on {stated['rows']} rows, but {rows} were known before the cutoff")
    found = _Counts(side)
    for block in blocks(side.rows, block_rows):
        found.add(side, block, training[block])
        audited(block.stop - block.start)
    _audit_vocabulary(ts.folder / name, name, side, found)
    _audit_idf(ts.folder / name, name, found, rows)
    _audit_scales(name, side, found)
    return rows


class _Counts:
    """What the training rows of the written arrays hold: rows per id, titles per term, moments of dense columns."""

    def __init__(self, side: Side) -> None:
        self.ids = np.zeros(side.attribute_rows, np.int64)
        self.terms = np.zeros(side.text_rows, np.int64)
        self.cut_titles = 0
        self._items, self._terms = 0, 0  # where the next block's begin in the jagged arrays
        columns = side.dense.shape[1]
        self.sums, self.squares, self.clipped = np.zeros(columns), np.zeros(columns), np.zeros(columns, bool)

    def add(self, side: Side, block: slice, training: npt.NDArray[np.bool_]) -> None:
        """The next block of the side's rows, and which of them are training rows."""
        lengths = side.attribute_lengths[block].sum(axis=1, dtype=np.int64)
        end = self._items + int(lengths.sum())
        self.ids += _rows_with(side.attribute_values[self._items : end], lengths, training, len(self.ids))
        self._items = end
        lengths = side.text_lengths[block].astype(np.int64)
        end = self._terms + int(lengths.sum())
        self.terms += _rows_with(side.text_values[self._terms : end], lengths, training, len(self.terms))
        self._terms = end
        self.cut_titles += int(np.count_nonzero(training & (lengths >= MAXIMUM_TERMS)))
        dense = side.dense[block][training].astype(np.float64)
        self.sums += dense.sum(axis=0)
        self.squares += (dense**2).sum(axis=0)
        self.clipped |= (np.abs(dense) >= CLIP).any(axis=0)


def _rows_with(
    values: npt.NDArray[np.int32], lengths: npt.NDArray[np.int64], training: npt.NDArray[np.bool_], size: int
) -> npt.NDArray[np.int64]:
    """(size,) in how many training rows each id occurs."""
    if not size:
        return np.zeros(0, np.int64)
    row = np.repeat(np.arange(len(lengths)), lengths)
    seen = training[row]
    keys = np.sort(row[seen] * np.int64(size) + values[seen])
    first = np.ones(len(keys), bool)
    first[1:] = keys[1:] != keys[:-1]
    return np.bincount(keys[first] % size, minlength=size)


def _audit_vocabulary(folder: Path, name: str, side: Side, found: _Counts) -> None:
    table = pq.ParquetFile(folder / "vocabulary.parquet").read()
    base = {attribute["name"]: attribute["base"] for attribute in side.schema["attributes"]}
    ids = np.array([base[f] for f in table["field"].to_pylist()], np.int64) + table["id"].to_numpy()
    stated = table["rows"].to_numpy()
    refuse(
        found.ids[ids] != stated,
        f"{name} values were counted on other rows than the training rows",
        lambda i: f"{table['field'][i]} {table['value'][i].as_py()!r}: {stated[i]} stated, {found.ids[ids[i]]} found",
    )


def _audit_idf(folder: Path, name: str, found: _Counts, rows: int) -> None:
    """Invert the IDF to titles per term. Long titles were cut, so up to that many more may have been counted."""
    idf = np.asarray(read(folder / "idf.npy"), np.float64)
    titles = np.rint((1 + rows) / np.exp(idf - 1) - 1)
    slack = np.floor(1e-5 * titles)  # of float32
    wrong = (titles < found.terms - slack) | (titles > found.terms + found.cut_titles + slack)
    refuse(
        wrong,
        f"{name} terms have an IDF of other rows than the training rows",
        lambda i: f"term {i}: {titles[i]:.0f} titles by its IDF, {found.terms[i]} found",
    )


def _audit_scales(name: str, side: Side, found: _Counts) -> None:
    """A column scaled on the training rows has mean 0 there; clipped columns cannot be told from outside."""
    rows = max(side.schema["fit"]["rows"], 1)
    values = np.array([not column.endswith(IS_MISSING) for column in side.schema["dense_columns"]], bool)
    mean, power = found.sums / rows, found.squares / rows
    wrong = values & ~found.clipped & ((np.abs(mean) > 1e-3) | (power > 1.001))
    refuse(
        wrong,
        f"{name} columns are scaled on other rows than the training rows",
        lambda i: f"{side.schema['dense_columns'][i]}: mean {mean[i]:.4f}, mean square {power[i]:.4f} over them",
    )
