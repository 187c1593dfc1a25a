"""Versions: one row per company and moment at which something about it became known.

Reads   activity and profile keys, how many bids each activity row knows of, the event log's companies
Writes  version/{company,known_at,profile,log_begin,log_end}.npy

A bid's opening makes a version, and so does a new static record. A version points at the newest activity row and the
newest profile row known by then; its history is the first so many of its company's events in the log.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bidrec.asof.resolve import check_span, newest_known

Keys = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Company row and known_at in seconds, sorted by both."""


@dataclass(frozen=True)
class Versions:
    """All (V,), sorted by (company, known_at); activity and profile are rows of their tables, -1 for none."""

    company: npt.NDArray[np.int32]
    known_at: npt.NDArray[np.int64]
    activity: npt.NDArray[np.int32]
    profile: npt.NDArray[np.int32]
    log_begin: npt.NDArray[np.int64]
    log_end: npt.NDArray[np.int64]


def versions_of(
    activity: Keys, profile: Keys, history_length: npt.NDArray[np.integer], log_company: npt.NDArray[np.integer]
) -> Versions:
    """Every distinct (company, known_at) of both tables.

    history_length: of each activity row; log_company: (E,) company row of each log event, sorted.
    """
    company, known_at = _distinct(np.concatenate([activity[0], profile[0]]), np.concatenate([activity[1], profile[1]]))
    of_activity = newest_known(activity, company, known_at)
    begin = np.searchsorted(log_company, company)
    length = np.zeros(len(company), np.int64)
    known = of_activity >= 0
    length[known] = history_length[of_activity[known]]
    of_profile = newest_known(profile, company, known_at)
    return Versions(company.astype(np.int32), known_at, of_activity, of_profile, begin, begin + length)


def _distinct(company: npt.NDArray[np.int64], known_at: npt.NDArray[np.int64]) -> Keys:
    """The distinct keys of two sorted tables, one after the other; packed, because one merge of integers is cheap."""
    if not len(company):
        return company, known_at
    first, last = int(known_at.min()), int(known_at.max())
    check_span(int(company.max()), first, last)
    span = last - first + 1
    keys = np.sort(company * span + (known_at - first), kind="stable")
    keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])]
    return keys // span, keys % span + first
