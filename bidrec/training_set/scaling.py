"""Scales of dense and vector fields: mean and standard deviation over training rows, and whether any was missing.

Reads   features/ (training rows only)
Writes  the `dense` entries of schema.json
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bidrec.errors import ContractError

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
