"""As-of: for each (company, moment) the newest version row known by then.

Reads   two sorted integer columns per side, never a feature
Writes  one row number per question, which bidrec.training_set stores instead of copied features

A version and a question each become one integer, company * span + time, so "the newest known by then" is one binary
search. The questions are sorted first: neighbouring searches then touch neighbouring memory, which is seven times as
fast as random ones. The floor is that sort: 0.1 s for 1 M random questions on one core (5 M versions), 2 s for 10 M;
DuckDB's ASOF JOIN over the same three columns took 0.7 s for the million.
"""

import numpy as np
import numpy.typing as npt

from bidrec.errors import ContractError

Ints = npt.NDArray[np.integer]
Rows = npt.NDArray[np.int32]
NEVER = np.iinfo(np.int64).min
"""In place of a moment: there is none."""

BLOCK = 1 << 22
"""Questions answered at once: beyond the versions' keys, memory does not grow with the questions."""


def newest_known(versions: tuple[Ints, Ints], company: Ints, as_of: Ints) -> Rows:
    """The row of the newest version of each company with known_at <= as_of, or -1 where there is none.

    versions: company (V,) and known_at (V,), sorted by (company, known_at); of equal keys the last row wins.
    company, as_of: (Q,) in any order; times of both sides share one unit (here: seconds since the epoch, UTC).
    Returns (Q,) int32. Raises ContractError where the keys do not fit 63 bits.
    """
    version_company, known_at = versions
    found = np.full(len(company), -1, dtype=np.int32)
    if not len(version_company) or not len(company):
        return found
    first, last = int(known_at.min()), int(known_at.max())
    span = last - first + 2
    check_span(int(version_company.max()), first, last)
    keys = version_company.astype(np.int64) * span + (known_at.astype(np.int64) - first + 1)
    for begin in range(0, len(company), BLOCK):
        block = slice(begin, begin + BLOCK)
        # Moments outside the versions' times move to just before or at them: the answer stays, the key fits its span.
        asked = np.clip(as_of[block].astype(np.int64), first - 1, last) - first + 1
        questions = company[block].astype(np.int64) * span + asked
        order = np.argsort(questions)
        rows = np.searchsorted(keys, questions[order], side="right") - 1
        same_company = (rows >= 0) & (version_company[rows] == company[block][order])
        found[begin + order] = np.where(same_company, rows, -1)
    return found


def row_of(versions: tuple[Ints, Ints], company: Ints, known_at: Ints) -> Rows:
    """The row of each company's version that is known since exactly known_at, or -1 where that is NEVER.

    Shapes and units as in newest_known. Raises ContractError (65) where there is no such version.
    """
    rows = newest_known(versions, company, known_at)
    exact = np.zeros(len(rows), bool)
    exact[rows >= 0] = versions[1][rows[rows >= 0]] == known_at[rows >= 0]
    strange = np.flatnonzero(~exact & (known_at != NEVER))
    if len(strange):
        raise ContractError(
            f"{len(strange)} versions are not in the feature tables (for example of company row {company[strange[0]]})",
            hint="the feature store reads other files than this home's features/",
        )
    return rows


def check_span(companies: int, first: int, last: int) -> None:
    """Raise ContractError (65) where company * (last - first) does not fit 63 bits."""
    if (companies + 2) * (last - first + 2) >= 2**63:
        raise ContractError(f"times from {first} to {last} lie too far apart to be compared", hint="check known_at")
