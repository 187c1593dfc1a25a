"""What happened: the notices of a window with their bidders, and what was known of the companies at a moment.

Reads   runs/ID/training_set (pairs, versions, profiles)
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bidrec.errors import InputMissing
from bidrec.training_set.arrays import TrainingSet
from bidrec.training_set.splits import DAY, day_of

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Truth:
    """Q notices published in [lo, hi), each with at least one bid, and their P bids; times in epoch seconds UTC."""

    lo: int
    hi: int
    notices: Int64
    """(Q,) notice rows, ascending."""
    published_at: Int64
    """(Q,) when each was published."""
    query: Int64
    """(P,) position in `notices` of each bid, ascending."""
    company: Int64
    """(P,) its company row."""
    without_bids: int
    """Notices of the window without a bid; they count for nothing."""
    known_bids: Int64
    """(C,) bids of each company known before `lo`: who is in the long tail."""
    left_out: int = 0
    """Notices of the window that have a bid and were thinned out."""

    @classmethod
    def of(cls, ts: TrainingSet, lo: int, hi: int, known_before: int | None = None) -> "Truth":
        """The window [lo, hi). `known_before` leaves out bids opened later: for a window before the cutoff.

        Raises InputMissing (66) where no notice of the window has a bid.
        """
        first, end = np.searchsorted(ts.notice_published_at, [lo, hi])
        inside = (ts.pair_notice >= first) & (ts.pair_notice < end)
        if known_before is not None:
            inside &= ts.pair_known_at < known_before
        notices, query = np.unique(ts.pair_notice[inside].astype(np.int64), return_inverse=True)
        if not len(notices):
            raise InputMissing(
                f"none of the {end - first} notices published from {day_of(lo)} until {day_of(hi)} has a bid",
                hint="set split.train_before and split.test_before around notices whose bids are opened",
            )
        before = ts.pair_company[ts.pair_known_at < lo]
        return cls(
            lo=lo,
            hi=hi,
            notices=notices,
            published_at=ts.notice_published_at[notices],
            query=query.astype(np.int64),
            company=ts.pair_company[inside].astype(np.int64),
            without_bids=int(end - first - len(notices)),
            known_bids=np.bincount(before, minlength=ts.companies),
        )

    def thinned(self, at_most: int) -> "Truth":
        """Of the notices that many at most, evenly spread, with their bids; 0: all."""
        if not at_most or len(self.notices) <= at_most:
            return self
        kept = np.arange(at_most) * len(self.notices) // at_most
        place_Q = np.full(len(self.notices), -1)
        place_Q[kept] = np.arange(at_most)
        query_P = place_Q[self.query]
        return replace(
            self,
            notices=self.notices[kept],
            published_at=self.published_at[kept],
            query=query_P[query_P >= 0],
            company=self.company[query_P >= 0],
            left_out=self.left_out + len(self.notices) - at_most,
        )


def known_companies(ts: TrainingSet, as_of: int) -> Bool:
    """(C,) the companies of which something was known before `as_of` (epoch seconds): the candidates."""
    known = np.zeros(ts.companies, bool)
    known[ts.version_company[ts.version_known_at < as_of]] = True
    return known


def newest_profiles(ts: TrainingSet, moment: int) -> Int64:
    """(C,) profile rows: each company's newest record known strictly before `moment` (epoch seconds), -1 for none."""
    known = np.flatnonzero(ts.profile_known_at < moment)
    newest_C = np.full(ts.companies, -1)
    # Rows are in the order of time: of several to one company the last one stays.
    newest_C[ts.profile_company[known]] = known
    return newest_C


def refreshes(truth: Truth, days: int) -> list[tuple[slice, int]]:
    """Where the truth's notices are cut every `days` days from its beginning, and the moment of each cut in seconds."""
    cuts = np.arange(truth.lo, truth.hi, days * DAY)
    first = np.searchsorted(truth.published_at, [*cuts, truth.hi])
    found = zip(first[:-1], first[1:], cuts, strict=True)
    return [(slice(int(a), int(b)), int(cut)) for a, b, cut in found if b > a]
