"""Pairs: one (notice row, company version row) per bid, as of the notice's publication.

Reads   the event log, the versions
Writes  pairs/{notice,company,version,known_at}.npy, log/{notice,company,known_at}.npy
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bidrec.asof.resolve import newest_known, row_of
from bidrec.errors import ContractError
from bidrec.training_set.arrays import seconds
from bidrec.training_set.tables import ROW, FeatureTables
from bidrec.training_set.versions import Versions

KnownSince = Callable[[npt.NDArray[np.int32], npt.NDArray[np.int64]], npt.NDArray[np.int64]]
"""(company row, as-of) -> known_at of the newest version by then; all (M,), times in seconds."""


@dataclass(frozen=True)
class Log:
    """All (E,), sorted by (company, known_at): company row, notice row, and when the bid became public."""

    company: npt.NDArray[np.int64]
    notice: npt.NDArray[np.int64]
    known_at: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """All (M,), sorted by (notice, company); version -1: the company was unknown when the notice was published."""

    notice: npt.NDArray[np.int32]
    company: npt.NDArray[np.int32]
    version: npt.NDArray[np.int32]
    known_at: npt.NDArray[np.int64]


def read_log(tables: FeatureTables) -> Log:
    """The event log; ContractError where an event's notice is not there."""
    strays, example = tables.connection.execute(
        "SELECT count(*), min(notice_id) FROM bid_log WHERE notice_row IS NULL"
    ).fetchall()[0]
    if strays:
        raise ContractError(
            f"bid_log: the notice of {strays} bids is not among the notices (for example {example})",
            hint="delete features/ in the home; the next bidrec train makes it again",
        )
    company, known_at = tables.company_and_time("bid_log")
    (notice,) = tables.integers(f"SELECT notice_row FROM bid_log ORDER BY {ROW}")
    return Log(company, notice, known_at)


def pairs_of(
    log: Log, versions: Versions, published_at: npt.NDArray[np.int64], known_since: KnownSince | None = None
) -> Pairs:
    """One pair per bid of the log; its version is the newest known at the notice's publication.

    known_since: asked instead of the versions at hand, since when that version is known.
    A bid that was public no later than its notice is left out: it would stand in its own company's history.
    """
    order = np.argsort(log.notice * (int(log.company.max(initial=0)) + 1) + log.company, kind="stable")
    order = order[log.known_at[order] > published_at[log.notice[order]]]
    notice, company = log.notice[order].astype(np.int32), log.company[order].astype(np.int32)
    keys, as_of = (versions.company, versions.known_at), published_at[notice]
    if known_since is None:
        version = newest_known(keys, company, as_of)
    else:
        version = row_of(keys, company, known_since(company, as_of))
    return Pairs(notice, company, version, log.known_at[order])


def read_publications(tables: FeatureTables) -> npt.NDArray[np.int64]:
    """(N,) seconds, rounded down."""
    (published_at,) = tables.integers(
        f"SELECT {seconds('published_at', 'floor')} AS published_at FROM notice ORDER BY {ROW}"
    )
    return published_at
