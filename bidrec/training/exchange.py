"""Rows with the values of one field taken from other rows: index arithmetic, no Python per row.

Used by importance.py, which permutes a field and leaves the rest of every row as it is.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from bidrec.model.rows import RowBatch, offsets


@dataclass(frozen=True)
class Part:
    """Where a field lies in the rows of its side."""

    name: str
    kind: str
    """`dense`, `age`, `attribute` or `text`."""
    begin: int
    end: int
    """Half-open: columns of the dense block or of the ages, places among the attributes, ids of the text table."""


def parts_of(schema: dict[str, Any]) -> list[Part]:
    """Every field of one side of the training set's schema.json."""
    columns = [re.sub(r"( is missing|\[\d+\])$", "", column) for column in schema["dense_columns"]]
    dense = [
        Part(name, "dense", columns.index(name), columns.index(name) + columns.count(name))
        for name in dict.fromkeys(columns)
    ]
    ages = [Part(name, "age", at, at + 1) for at, name in enumerate(schema["ages"])]
    attributes = [Part(entry["name"], "attribute", at, at + 1) for at, entry in enumerate(schema["attributes"])]
    text = [Part(entry["name"], "text", entry["base"], entry["base"] + entry["buckets"]) for entry in schema["text"]]
    return [*dense, *ages, *attributes, *text]


def exchanged(own: RowBatch, other: RowBatch, part: Part) -> RowBatch:
    """`own` (B rows) with the field's values of `other` (B rows), row by row."""
    at = slice(part.begin, part.end)
    if part.kind == "dense":
        return replace(own, dense_BF=_with_columns(own.dense_BF, other.dense_BF, at))
    if part.kind == "age":
        return replace(own, ages_days_BT=_with_columns(own.ages_days_BT, other.ages_days_BT, at))
    return _attributes(own, other, at) if part.kind == "attribute" else _text(own, other, part)


def _with_columns(own: Tensor, other: Tensor, at: slice) -> Tensor:
    mixed = own.clone()
    mixed[:, at] = other[:, at]
    return mixed


def _attributes(own: RowBatch, other: RowBatch, at: slice) -> RowBatch:
    """Both rows' items lie one after the other; each (row, field) says where its items begin and how many they are."""
    lengths_BA = _with_columns(own.attribute_lengths_BA, other.attribute_lengths_BA, at)
    begin_BA = _with_columns(
        _begin(own.attribute_lengths_BA), _begin(other.attribute_lengths_BA) + len(own.attributes), at
    )
    lengths, begin = lengths_BA.flatten(), begin_BA.flatten()
    place = torch.repeat_interleave(begin - lengths.cumsum(0) + lengths, lengths)
    place += torch.arange(len(place), device=place.device)
    return replace(
        own, attributes=torch.cat([own.attributes, other.attributes])[place], attribute_lengths_BA=lengths_BA
    )


def _begin(lengths_BA: Tensor) -> Tensor:
    """(B, A) position of each field's first item in the row-major flat ids."""
    return offsets(lengths_BA.flatten())[:-1].view(lengths_BA.shape)


def _text(own: RowBatch, other: RowBatch, part: Part) -> RowBatch:
    """The other text fields' terms of `own` and this one's of `other`: a term's id says which field it is of."""
    kept, taken = (~_of(own, part), _of(other, part))
    row = torch.cat([_rows_of_terms(own)[kept], _rows_of_terms(other)[taken]])
    order = torch.argsort(row, stable=True)
    return replace(
        own,
        text=torch.cat([own.text[kept], other.text[taken]])[order],
        text_weights=torch.cat([own.text_weights[kept], other.text_weights[taken]])[order],
        text_lengths_B=torch.bincount(row, minlength=len(own.text_lengths_B)),
    )


def _of(batch: RowBatch, part: Part) -> Tensor:
    return (batch.text >= part.begin) & (batch.text < part.end)


def _rows_of_terms(batch: RowBatch) -> Tensor:
    rows = torch.arange(len(batch.text_lengths_B), device=batch.text.device)
    return torch.repeat_interleave(rows, batch.text_lengths_B)
