"""An embedding table of which each of many processes holds a copy, and which all of them move alike.

A process's backward pass knows the gradients of the rows that its own part of the batch read. They are gathered from
all, a sum a row, and every copy takes the same update: it costs what the batch touches, whatever the vocabulary.
"""

import torch
from torch import Tensor, distributed

from bidrec.model.distinct import distinct
from bidrec.model.tables import PlainRows, Read, summed


class SharedRows(PlainRows):
    """A rule by the gradients of all processes, each of which must look up as often as the others."""

    def move(self, read: Read, gradient_BD: Tensor) -> None:
        rows, gradient_RD = summed(read, gradient_BD)
        own = torch.full((1,), len(rows), device=rows.device)
        counts = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
        distributed.all_gather(counts, own)
        sizes: list[int] = torch.cat(counts).tolist()
        all_rows, place, _ = distinct(torch.cat(parts_of_all(rows, sizes)))
        total_RD = gradient_RD.new_zeros(len(all_rows), gradient_RD.shape[1])
        # Part by part, in which no row is twice: a GPU adds such as come together in any order, and the copies must not
        # come to differ by it.
        for place_R, part_RD in zip(place.split(sizes), parts_of_all(gradient_RD, sizes), strict=True):
            total_RD.index_add_(0, place_R, part_RD)
        self.move_rows(all_rows, total_RD)


def parts_of_all(own_MD: Tensor, sizes: list[int]) -> list[Tensor]:
    """Every process's tensor, of the lengths `sizes`: gathered at the greatest, for gloo knows no other way."""
    padded = own_MD.new_zeros(max(sizes), *own_MD.shape[1:])
    padded[: len(own_MD)] = own_MD
    parts = [torch.empty_like(padded) for _ in sizes]
    distributed.all_gather(parts, padded)
    return [part[:length] for part, length in zip(parts, sizes, strict=True)]
