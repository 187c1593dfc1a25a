"""The training set as the model's side sees it: arrays mapped into memory, and what their columns mean.

Reads   runs/ID/training_set/
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bidrec.errors import ContractError, InputMissing
from bidrec.storage.intact import require_intact
from bidrec.storage.sealed import read_json, read_manifest
from bidrec.training_set.npy import read

SIDES = ("notice", "profile", "version")

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Side:
    """The features of one kind of row: R notices, profiles or versions. `schema` names the columns."""

    schema: dict[str, Any]
    dense: Float32
    """(R, dense columns) normalised, within ±5, a missing value 0; flags of missing values are columns too."""
    attribute_values: Int32
    """(items,) ids in one table of `attribute_rows`, in (row, field, item) order; a field's first id is its unknown."""
    attribute_lengths: Int32
    """(R, attribute fields) items of each, at least 1."""
    ages: Int64
    """(R, age fields) times in seconds since the epoch, the least int64 where there is none."""
    text_values: Int32
    """(terms,) ids in one table of `text_rows`."""
    text_weights: Float32
    """(terms,) of unit L2 length per row and text field."""
    text_lengths: Int32
    """(R,) terms of each row."""

    @property
    def rows(self) -> int:
        return len(self.dense)

    @property
    def attribute_rows(self) -> int:
        return int(self.schema["attribute_rows"])

    @property
    def text_rows(self) -> int:
        return int(self.schema["text_rows"])

    def attribute_starts(self) -> Int64:
        """(R, attribute fields) where the items of each begin in `attribute_values`."""
        lengths = self.attribute_lengths
        return (np.cumsum(lengths, dtype=np.int64) - lengths.ravel()).reshape(lengths.shape)

    @classmethod
    def open(cls, folder: Path, schema: dict[str, Any]) -> "Side":
        """Map one side; ContractError where an array does not have the rows and columns the schema speaks of."""
        side = cls(
            schema,
            read(folder / "dense.npy"),
            read(folder / "attributes.values.npy"),
            read(folder / "attributes.lengths.npy"),
            read(folder / "ages.npy"),
            read(folder / "text.values.npy"),
            read(folder / "text.weights.npy"),
            read(folder / "text.lengths.npy"),
        )
        rows = side.rows
        _expect(folder / "dense.npy", side.dense, (rows, len(schema["dense_columns"])), np.float32)
        _expect(folder / "attributes.lengths.npy", side.attribute_lengths, (rows, len(schema["attributes"])), np.int32)
        _expect(folder / "ages.npy", side.ages, (rows, len(schema["ages"])), np.int64)
        _expect(folder / "text.lengths.npy", side.text_lengths, (rows,), np.int32)
        items, terms = int(side.attribute_lengths.sum(dtype=np.int64)), int(side.text_lengths.sum(dtype=np.int64))
        _expect(folder / "attributes.values.npy", side.attribute_values, (items,), np.int32)
        _expect(folder / "text.values.npy", side.text_values, (terms,), np.int32)
        _expect(folder / "text.weights.npy", side.text_weights, (terms,), np.float32)
        return side


@dataclass(frozen=True)
class TrainingSet:
    """N notices, C companies, P profiles, V versions, E log events, M pairs; all times in seconds since the epoch."""

    folder: Path
    schema: dict[str, Any]
    manifest: dict[str, Any]
    notice: Side
    profile: Side
    version: Side
    notice_published_at: Int64
    """(N,) ascending."""
    notice_limits: Int32
    """(N,) who may bid: rows of notice/limits.parquet (bidrec.training_set.limits)."""
    profile_company: Int32
    profile_known_at: Int64
    """(P,) sorted by (company, known_at)."""
    profile_standing: Int32
    """(P,) what limits ask about: rows of profile/standing.parquet."""
    version_company: Int32
    version_known_at: Int64
    """(V,) sorted by (company, known_at), each distinct."""
    version_profile: Int32
    """(V,) newest profile row known by then, -1 for none."""
    version_log_begin: Int64
    version_log_end: Int64
    """(V,) the history known by then is log[begin:end], oldest first."""
    log_company: Int32
    log_notice: Int32
    log_known_at: Int64
    """(E,) sorted by (company, known_at)."""
    pair_notice: Int32
    pair_company: Int32
    pair_version: Int32
    """(M,) newest version with known_at <= the notice's published_at, -1: the company was unknown then."""
    pair_known_at: Int64
    """(M,) when the bid became public; pairs are sorted by (notice, company)."""

    @property
    def companies(self) -> int:
        return int(self.manifest["rows"]["company"])

    @property
    def validation_from(self) -> int:
        return int(self.manifest["split"]["validation_from"])

    @property
    def cutoff(self) -> int:
        return int(self.manifest["split"]["cutoff"])

    @property
    def test_before(self) -> int:
        return int(self.manifest["split"]["test_before"])

    def notice_ids(self) -> list[str]:
        """(N,) read from disk each time."""
        return _ids(self.folder / "notice" / "ids.parquet", "notice_id")

    def company_ids(self) -> list[str]:
        """(C,) read from disk each time."""
        return _ids(self.folder / "company" / "ids.parquet", "company_id")

    @classmethod
    def open(cls, folder: Path) -> "TrainingSet":
        """Map a finished training set. Raises InputMissing where it is not, ContractError where a file was changed or
        shapes disagree."""
        if read_manifest(folder) is None:
            raise InputMissing(f"no finished training set in {folder}", hint="run `bidrec train`")
        return cls.map(folder, require_intact(folder))

    @classmethod
    def map(cls, folder: Path, manifest: dict[str, Any]) -> "TrainingSet":
        """Map the arrays of a folder whose manifest may not be written yet (the audit looks before it is)."""
        schema = read_json(folder / "schema.json")
        sides: dict[str, Any] = {name: Side.open(folder / name, schema[name]) for name in SIDES}
        paths = {name: folder / f"{name.replace('_', '/', 1)}.npy" for name in _COLUMNS}
        paths |= {name: folder / "pairs" / f"{name.removeprefix('pair_')}.npy" for name in _PAIR_COLUMNS}
        arrays: dict[str, Any] = {name: read(path) for name, path in paths.items()}
        rows = {group: len(arrays[first]) for group, first in _GROUPS.items()}
        rows |= {name: side.rows for name, side in sides.items()}
        for name, (group, dtype) in (_COLUMNS | _PAIR_COLUMNS).items():
            _expect(paths[name], arrays[name], (rows[group],), dtype)
        return cls(folder, schema, manifest, **sides, **arrays)


_COLUMNS: dict[str, tuple[str, type]] = {
    "notice_published_at": ("notice", np.int64),
    "notice_limits": ("notice", np.int32),
    "profile_company": ("profile", np.int32),
    "profile_known_at": ("profile", np.int64),
    "profile_standing": ("profile", np.int32),
    "version_company": ("version", np.int32),
    "version_known_at": ("version", np.int64),
    "version_profile": ("version", np.int32),
    "version_log_begin": ("version", np.int64),
    "version_log_end": ("version", np.int64),
    "log_company": ("log", np.int32),
    "log_notice": ("log", np.int32),
    "log_known_at": ("log", np.int64),
}
_PAIR_COLUMNS: dict[str, tuple[str, type]] = {
    "pair_notice": ("pair", np.int32),
    "pair_company": ("pair", np.int32),
    "pair_version": ("pair", np.int32),
    "pair_known_at": ("pair", np.int64),
}
_GROUPS = {"log": "log_company", "pair": "pair_notice"}


def _expect(path: Path, array: npt.NDArray[Any], shape: tuple[int, ...], dtype: type) -> None:
    if array.shape != shape or array.dtype != np.dtype(dtype):
        raise ContractError(
            f"{path} holds {array.shape} {array.dtype}, not {shape} {np.dtype(dtype)}",
            hint="the training set is damaged; train again: bidrec train --force",
        )


def _ids(path: Path, column: str) -> list[str]:
    import duckdb  # here: the training reads no ids and need not wait for it

    with duckdb.connect() as connection:
        return [
            row[0]
            for row in connection.execute(
                f"SELECT {column} FROM read_parquet(?, file_row_number = true) ORDER BY file_row_number", [str(path)]
            ).fetchall()
        ]
