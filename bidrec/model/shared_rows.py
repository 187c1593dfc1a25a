"""An embedding table of which each of many processes holds a copy, and which all of them move alike.

A process's backward pass knows the gradients of the rows that its own part of the batch read. They are gathered from
all, a sum a row, and every copy takes the same update: it costs what the batch touches, whatever the vocabulary.
"""

import torch
from torch import Tensor, distributed

from bidrec.model.tables import PlainRows, summed


class SharedRows(PlainRows):
    """A rule by the gradients of all processes, each of which must look up as often as the others."""

    def move(self, ids: Tensor, gradient_ID: Tensor) -> None:
        rows, gradient_RD = summed(ids, gradient_ID)
        counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(distributed.get_world_size())]
        distributed.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
        sizes = [int(count) for count in counts]
        super().move(torch.cat(parts_of_all(rows, sizes)), torch.cat(parts_of_all(gradient_RD, sizes)))


def parts_of_all(own_MD: Tensor, sizes: list[int]) -> list[Tensor]:
    """Every process's tensor, of the lengths `sizes`: gathered at the greatest, for gloo knows no other way."""
    padded = own_MD.new_zeros(max(sizes), *own_MD.shape[1:])
    padded[: len(own_MD)] = own_MD
    parts = [torch.empty_like(padded) for _ in sizes]
    distributed.all_gather(parts, padded)
    return [part[:length] for part, length in zip(parts, sizes, strict=True)]
