"""Columnar rows on one device, and how a batch of them is gathered: index arithmetic, no Python per row.

Reads the arrays of one side of the training set (notice, profile or version); the towers read the batches.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True)
class Field:
    """A categorical or bag field: ids [base, base + size) of the side's one id space; base itself is unknown."""

    name: str
    base: int
    size: int


@dataclass(frozen=True)
class Shape:
    """What a side's rows look like: all that a tower needs to be built."""

    dense: int
    ages: int
    fields: tuple[Field, ...]
    attribute_rows: int
    text_rows: int

    @classmethod
    def of(cls, schema: dict[str, Any]) -> "Shape":
        """Read from one side of the training set's schema.json."""
        return cls(
            dense=len(schema["dense_columns"]),
            ages=len(schema["ages"]),
            fields=tuple(Field(field["name"], field["base"], field["size"]) for field in schema["attributes"]),
            attribute_rows=schema["attribute_rows"],
            text_rows=schema["text_rows"],
        )


@dataclass(frozen=True)
class RowBatch:
    """B gathered rows.

    dense_BF (B, F) float32; ages_days_BT (B, T) float32 days from each time to the as-of, -1 where missing;
    attributes (n,) int64 ids, row-major, attribute_lengths_BA (B, A) items per row and field;
    text (m,) int64 ids, text_weights (m,) float32, text_lengths_B (B,); `single`: each field of each row has one item.
    """

    dense_BF: Tensor
    ages_days_BT: Tensor
    attributes: Tensor
    attribute_lengths_BA: Tensor
    text: Tensor
    text_weights: Tensor
    text_lengths_B: Tensor
    single: bool = False

    def __len__(self) -> int:
        return len(self.dense_BF)

    def to(self, device: torch.device) -> "RowBatch":
        """The same rows on that device."""
        if device == self.dense_BF.device:
            return self
        return moved(self, lambda tensor: tensor.to(device))

    def row_offsets(self) -> Tensor:
        """(B + 1,) where each row's ids begin."""
        if self.single:
            fields = self.attribute_lengths_BA.shape[1]
            return torch.arange(0, len(self.attributes) + 1, fields, device=self.attributes.device)
        return offsets(self.attribute_lengths_BA.sum(1))

    def split(self, sizes: list[int]) -> "list[RowBatch]":
        """The rows as batches of these sizes, without a copy."""
        lengths = self.attribute_lengths_BA.split(sizes)
        text_lengths = self.text_lengths_B.split(sizes)
        fields = self.attribute_lengths_BA.shape[1]
        items = [size * fields for size in sizes] if self.single else totals(self.row_offsets(), sizes)
        terms = totals(offsets(self.text_lengths_B), sizes) if len(self.text) else [0] * len(sizes)
        parts = zip(
            self.dense_BF.split(sizes),
            self.ages_days_BT.split(sizes),
            self.attributes.split(items),
            lengths,
            self.text.split(terms),
            self.text_weights.split(terms),
            text_lengths,
            [self.single] * len(sizes),
            strict=True,
        )
        return [RowBatch(*part) for part in parts]


@dataclass(frozen=True)
class Rows:
    """All rows of a side, on one device. The offsets say where a row's ids begin in the flat arrays, if these hold any;
    `single`: nowhere but in a table of as many columns as there are fields, since each has one item."""

    dense: Tensor
    ages: Tensor
    attributes: Tensor
    """(items,), or (R, A) where `single`."""
    attribute_lengths: Tensor
    attribute_offsets: Tensor
    text: Tensor
    text_weights: Tensor
    text_offsets: Tensor
    single: bool

    @classmethod
    def of(
        cls,
        *,
        dense: Tensor,
        ages: Tensor,
        attributes: Tensor,
        attribute_lengths: Tensor,
        text: Tensor,
        text_weights: Tensor,
        text_lengths: Tensor,
    ) -> "Rows":
        """Build from the arrays of the training set; the lengths become offsets."""
        # A side whose fields are all categorical is a plain table: its rows are gathered in one go.
        single = attribute_lengths.shape[1] > 0 and len(attributes) == attribute_lengths.numel()
        lengths = attribute_lengths.sum(1) if len(attributes) and not single else attribute_lengths.new_zeros(0)
        return cls(
            dense=dense,
            ages=ages,
            attributes=attributes.view(attribute_lengths.shape) if single else attributes,
            attribute_lengths=attribute_lengths,
            attribute_offsets=offsets(lengths),
            single=single,
            text=text,
            text_weights=text_weights,
            text_offsets=offsets(text_lengths.to(torch.int64) if len(text) else text_lengths[:0]),
        )

    def __len__(self) -> int:
        return len(self.dense)

    @property
    def device(self) -> torch.device:
        return self.dense.device

    def take(self, rows_B: Tensor, as_of: Tensor | int = 0) -> RowBatch:
        """Gather rows (B,); `as_of` is one time for all or one a row, in epoch seconds (UTC)."""
        if self.single:
            attributes = self.attributes.index_select(0, rows_B).flatten()
            lengths_BA = self.attribute_lengths[:1].expand(len(rows_B), -1)
        else:
            places = ragged(self.attribute_offsets, rows_B)[0] if len(self.attributes) else rows_B[:0]
            attributes = self.attributes[places]
            lengths_BA = self.attribute_lengths.index_select(0, rows_B).long()
        dense_BF = _gathered(self.dense, rows_B)
        text, text_weights, text_lengths_B = self._text(rows_B)
        return RowBatch(
            dense_BF=dense_BF,
            ages_days_BT=_days(self.ages.index_select(0, rows_B), as_of) if self.ages.shape[1] else dense_BF[:, :0],
            attributes=attributes.long(),
            attribute_lengths_BA=lengths_BA,
            text=text,
            text_weights=text_weights,
            text_lengths_B=text_lengths_B,
            single=self.single,
        )

    def _text(self, rows_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The rows' terms, their weights, and how many each row has."""
        if not len(self.text):
            return rows_B[:0].long(), self.text_weights, torch.zeros_like(rows_B)
        text, lengths_B = ragged(self.text_offsets, rows_B)
        return self.text[text].long(), self.text_weights[text], lengths_B


def _gathered(table_RF: Tensor, rows_B: Tensor) -> Tensor:
    """(B, F) rows of a float32 table, most of them far from each other. The kernel behind a CPU's bags asks for them
    some way ahead: .7 instead of 1.1 ms for 4,096 rows of 140 numbers out of a gigabyte."""
    if table_RF.device.type != "cpu" or not table_RF.shape[1]:
        return table_RF.index_select(0, rows_B)
    return functional.embedding_bag(rows_B, table_RF, torch.arange(len(rows_B), device=rows_B.device), mode="sum")


def moved(batch: Any, move: Callable[[Tensor], Tensor]) -> Any:
    """The batch, a dataclass of tensors and of such dataclasses, with all its tensors moved; what is neither stays."""
    if isinstance(batch, Tensor):
        return move(batch)
    if not is_dataclass(batch) or isinstance(batch, type):
        return batch
    return replace(batch, **{field.name: moved(getattr(batch, field.name), move) for field in fields(batch)})


def offsets(lengths: Tensor) -> Tensor:
    """(R,) lengths -> (R + 1,) int64 offsets."""
    found = torch.zeros(len(lengths) + 1, dtype=torch.int64, device=lengths.device)
    torch.cumsum(lengths, 0, out=found[1:])
    return found


def ragged(offsets_: Tensor, rows_B: Tensor) -> tuple[Tensor, Tensor]:
    """Flat positions of the items of rows (B,), in the rows' order, and each row's number of items (B,)."""
    begin, lengths = offsets_[rows_B], offsets_[rows_B + 1] - offsets_[rows_B]
    owner = torch.repeat_interleave(begin - lengths.cumsum(0) + lengths, lengths)
    return owner + torch.arange(len(owner), device=owner.device), lengths


def totals(offsets_: Tensor, sizes: list[int]) -> list[int]:
    """How many items the rows have in parts of these sizes; a GPU is waited for once."""
    ends = torch.tensor([0, *sizes]).cumsum(0).to(offsets_.device)
    return offsets_[ends].diff().tolist()


def _days(times: Tensor, as_of: Tensor | int) -> Tensor:
    """Days from each time to the as-of; -1 where there is no time (the training set's int64 minimum)."""
    if isinstance(as_of, Tensor):
        as_of = as_of[:, None]
    missing = times == torch.iinfo(torch.int64).min
    return torch.where(missing, -1.0, (as_of - times.masked_fill(missing, 0)).float() / SECONDS_A_DAY)
