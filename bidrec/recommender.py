"""The published recommendations for Python code: typed, read-only, as of one write-back.

    from bidrec import Recommender

    recommender = Recommender.load("/data")
    for company in recommender.companies_for("20250600343-000", k=50):
        print(company.rank, company.name, company.score)

Reads   published/current and, for notices that arrived later, the run it names
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from bidrec.config import Config
from bidrec.publishing.recommend import Published

ScoreIs = Literal["probability", "cosine"]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Known bids of the company that speak for a pair."""

    of: Literal["office", "place", "category"]
    """What the bids have in common with the notice."""
    bids: int
    days_ago: int
    """Days from the opening of the newest to the write-back's as-of, by the calendar (UTC)."""


@dataclass(frozen=True, kw_only=True)
class RankedCompany:
    rank: int
    """From 1, the best."""
    company_id: str
    name: str | None
    region: str | None
    bids: int
    """Bids of the company that are known."""
    last_bid_at: datetime | None
    score: float
    score_is: ScoreIs
    """`probability` that it bids, or `cosine` of the vectors, in [-1, 1], which only orders."""
    reasons: tuple[Reason, ...] = ()
    """The closest first."""


@dataclass(frozen=True, kw_only=True)
class RankedNotice:
    rank: int
    notice_id: str
    title: str | None
    buyer: str | None
    unit: str | None
    """Whom for, where that is another office than the buyer: reasons of the office speak of it."""
    place: str | None
    value: float | None
    """In `currency`."""
    currency: str | None
    published_at: datetime
    closes_at: datetime | None
    """Until when bids are taken: the deadline last stated, or the withdrawal where that is earlier."""
    score: float
    score_is: ScoreIs
    reasons: tuple[Reason, ...] = ()


class Recommender:
    """What was published when it was loaded; a later write-back changes nothing in it. All times are aware, in UTC.

    `k`, how many, is at least 1; ContractError otherwise.
    Not for several threads at once: load one a thread.
    """

    def __init__(self, published: Published) -> None:
        self._published = published

    @classmethod
    def load(cls, home: str | os.PathLike[str] | None = None) -> "Recommender":
        """Open what is published in the home (None: BIDREC_HOME, else ./.bidrec).

        Raises InputMissing where nothing is.
        """
        named = os.fspath(home) if home is not None else os.environ.get("BIDREC_HOME", "")
        return cls(Published(Config(home=named).home_path))

    @property
    def run_id(self) -> str:
        """The run whose weights are published."""
        return self._published.run_id

    @property
    def as_of(self) -> datetime:
        """Everything known up to this moment went in."""
        return self._published.as_of

    @property
    def written_at(self) -> datetime:
        """When it was published; later for each publication of a home."""
        return self._published.written_at

    @property
    def folder(self) -> Path:
        """Folder of the version that is read."""
        return self._published.folder

    def companies_for(self, notice_id: str, k: int = 50) -> list[RankedCompany]:
        """The k likeliest bidders on a published notice, best first.

        Of an open notice its list, of up to publish.top_k companies that may bid, with probabilities; of one that has
        closed all companies, by cosine. Raises InputMissing for an unknown notice.
        """
        return [_typed(RankedCompany, row) for row in self._published.companies_for(notice_id, k)[1]]

    def notices_for(self, company_id: str, k: int = 50, as_of: datetime | None = None) -> list[RankedNotice]:
        """The k open notices that suit a company best, best first: its list, with probabilities; for those open at
        another time `as_of` by cosine.

        Raises InputMissing for an unknown company, and where no notice is open.
        """
        return [_typed(RankedNotice, row) for row in self._published.notices_for(company_id, k, as_of)[1]]

    def reasons_for(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[Reason, ...]]:
        """What speaks for each (notice id, company id), the closest first: of many pairs in one pass over the bids.

        Empty for a pair that is not known.
        """
        return [_reasons(found) for found in self._published.reasons_for(pairs)]

    def companies_for_new(self, notice: Mapping[str, Any], k: int = 50) -> list[RankedCompany]:
        """The k companies that may bid on a notice that arrived after the write-back, by cosine, best first.

        notice: the canonical columns of bidrec/contract.py; notice_id and published_at are needed, everything else is
        better given. Times are aware datetimes, or ISO text with an offset. The first call loads the model.
        Raises ContractError on an unknown column or a value that no notice can have.
        """
        return [_typed(RankedCompany, row) for row in self._published.companies_for_new(notice, k)]


def _typed(kind: type[T], row: Mapping[str, Any]) -> T:
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    given = {name: row[name] for name in names if name != "reasons"}
    return kind(**given, **{"reasons": _reasons(row.get("reasons", ()))})


def _reasons(found: Sequence[Mapping[str, Any]]) -> tuple[Reason, ...]:
    return tuple(Reason(**reason) for reason in found)
