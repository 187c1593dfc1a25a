"""A training set of a few notices, written as a list of bids; days are counted from the epoch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bidrec.training_set.arrays import Side, TrainingSet

DAY = 86_400

Bid = tuple[int, int, int]
"""Notice row, company row, day it became known."""


def training_set(
    published: Sequence[int],
    bids: Sequence[Bid],
    fields: dict[str, Sequence[int]] | None = None,
    titles: Sequence[Sequence[int]] | None = None,
    companies: int | None = None,
) -> TrainingSet:
    """`published`: day of each notice, ascending. `fields`: codes of each notice by field, 0 unknown. `titles`: terms.

    A company is known from its first bid on; companies without one never are.
    """
    bids = sorted(bids)
    notice, company, known = (np.array([bid[at] for bid in bids], np.int64) for at in range(3))
    count = companies if companies is not None else int(company.max(initial=-1)) + 1
    log = np.lexsort((notice, known, company))
    side = _side(len(published), fields or {}, titles or [[] for _ in published])
    nothing, never = np.zeros(0, np.int32), np.zeros(0, np.int64)
    return TrainingSet(
        folder=Path(),
        schema={},
        manifest={"rows": {"company": count}},
        notice=side,
        profile=side,
        version=side,
        notice_published_at=np.array(published, np.int64) * DAY,
        notice_limits=np.zeros(len(published), np.int32),
        profile_company=nothing,
        profile_known_at=never,
        profile_standing=nothing,
        version_company=company[log].astype(np.int32),
        version_known_at=known[log] * DAY,
        version_profile=np.full(len(bids), -1, np.int32),
        version_log_begin=never,
        version_log_end=never,
        log_company=company[log].astype(np.int32),
        log_notice=notice[log].astype(np.int32),
        log_known_at=known[log] * DAY,
        pair_notice=notice.astype(np.int32),
        pair_company=company.astype(np.int32),
        pair_version=np.full(len(bids), -1, np.int32),
        pair_known_at=known * DAY,
    )


def _side(rows: int, fields: dict[str, Sequence[int]], titles: Sequence[Sequence[int]]) -> Side:
    sizes = [max(codes) + 1 for codes in fields.values()]
    bases = np.cumsum([0, *sizes]).astype(np.int32)
    values = np.array(list(fields.values()), np.int32).reshape(len(fields), rows).T + bases[:-1]
    terms = [term for title in titles for term in title]
    return Side(
        schema={
            "attributes": [
                {"name": name, "base": int(base), "size": size}
                for name, base, size in zip(fields, bases[:-1], sizes, strict=True)
            ],
            "attribute_rows": int(bases[-1]),
            "text_rows": max(terms, default=-1) + 1,
        },
        dense=np.zeros((rows, 0), np.float32),
        attribute_values=values.astype(np.int32).ravel(),
        attribute_lengths=np.ones((rows, len(fields)), np.int32),
        ages=np.zeros((rows, 0), np.int64),
        text_values=np.array(terms, np.int32),
        text_weights=np.array([1 / np.sqrt(len(title)) for title in titles for _ in title], np.float32),
        text_lengths=np.array([len(title) for title in titles], np.int32),
    )
