"""What a ranker is: a score of every company for each notice asked about."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]


class Ranker(Protocol):
    """Scores compare within a notice only, and are finite. Of companies that are no candidates they mean nothing."""

    def scores(self, notice_rows: Int64) -> Float32:
        """(B,) notice rows -> (B, C) float32, a fresh array the caller may write to."""
        ...


@dataclass(frozen=True)
class VectorRanker:
    """A model as its vectors: the score is the dot product."""

    notice_ND: Float32
    company_CD: Float32

    def scores(self, notice_rows: Int64) -> Float32:
        return np.asarray(self.notice_ND[notice_rows] @ self.company_CD.T, dtype=np.float32)


@dataclass(frozen=True)
class Part:
    """One of several rankers that share most of their work. Who wants all of them asks `whole` for a block's scores of
    each, one ranker after the other, and uses those of one before it asks for the next."""

    whole: Callable[[Int64], Iterator[Float32]]
    place: int

    def scores(self, notice_rows: Int64) -> Float32:
        return next(islice(self.whole(notice_rows), self.place, None))


def scores_of(rankers: Sequence[Ranker], notice_rows: Int64) -> Iterator[Float32]:
    """(B,) -> (B, C) of one ranker, or of each of all parts of one whole, which is asked once."""
    one = rankers[0]
    return one.whole(notice_rows) if len(rankers) > 1 and isinstance(one, Part) else iter([one.scores(notice_rows)])
