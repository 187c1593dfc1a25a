"""A small training set with a pattern to learn: companies bid on notices of their own kind."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bidrec.training_set.arrays import Side, TrainingSet

ON_A_GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")]
DAY = 86_400
KINDS = 5
TEXT_ROWS = 50


def training_set(
    notices: int = 300, companies: int = 40, bidders: int = 4, seed: int = 1, *, records: bool = False
) -> TrainingSet:
    """One notice a day; company c bids on notices of kind c % 5; the bids open 3 days after publication.

    Training ends at 70 % of the days, the cutoff is at 85 %. Company 0 has a profile alone, company 1 nothing at all.
    `records`: the others have a profile too, which names their kind. A `static` model knows nothing else of companies:
    without it learns nothing, for they are all the same to it.
    """
    random = np.random.default_rng(seed)
    published = np.arange(notices, dtype=np.int64) * DAY
    kind = random.integers(0, KINDS, notices)
    active = np.arange(2, companies)
    pairs = sorted(
        (n, int(c)) for n in range(notices) for c in random.choice(active[active % KINDS == kind[n]], bidders, False)
    )
    pair_notice, pair_company = (np.array(column, dtype=np.int32) for column in zip(*pairs, strict=True))
    pair_known = published[pair_notice] + 3 * DAY
    order = np.lexsort((pair_notice, pair_known, pair_company))
    log_company, log_notice, log_known = pair_company[order], pair_notice[order], pair_known[order]
    version_company = np.concatenate([np.zeros(1, np.int32), log_company])
    version_known = np.concatenate([np.zeros(1, np.int64), log_known])
    first = np.searchsorted(log_company, log_company)
    begin = np.concatenate([[0], first])
    end = np.concatenate([[0], np.arange(len(order)) + 1])
    keys = version_company.astype(np.int64) * 10**9 + version_known
    version = np.searchsorted(keys, pair_company.astype(np.int64) * 10**9 + published[pair_notice], side="right") - 1
    version = np.where((version >= 0) & (version_company[version] == pair_company), version, -1)
    recorded = np.append(0, active) if records else np.zeros(1, np.int64)
    profile = np.searchsorted(recorded, version_company)
    has_profile = recorded[np.minimum(profile, len(recorded) - 1)] == version_company
    return TrainingSet(
        folder=Path(),
        schema={"notice": _schema(1), "profile": _schema(0), "version": _schema(0)},
        manifest={
            "rows": {"company": companies},
            "split": {
                "validation_from": int(notices * 0.7) * DAY,
                "cutoff": int(notices * 0.85) * DAY,
                "test_before": notices * DAY,
            },
        },
        notice=_side(_schema(1), kind, random),
        profile=_side(_schema(0), recorded % KINDS, random),
        version=_side(_schema(0), np.zeros(len(version_company), np.int64), random),
        notice_published_at=published,
        notice_limits=np.zeros(notices, np.int32),
        profile_company=recorded.astype(np.int32),
        profile_known_at=np.zeros(len(recorded), np.int64),
        profile_standing=np.zeros(len(recorded), np.int32),
        version_company=version_company,
        version_known_at=version_known,
        version_profile=np.where(has_profile, profile, -1).astype(np.int32),
        version_log_begin=begin.astype(np.int64),
        version_log_end=end.astype(np.int64),
        log_company=log_company,
        log_notice=log_notice,
        log_known_at=log_known,
        pair_notice=pair_notice,
        pair_company=pair_company,
        pair_version=version.astype(np.int32),
        pair_known_at=pair_known,
    )


def _schema(text: int) -> dict:
    return {
        "dense_columns": ["noise"],
        "ages": [],
        "attributes": [{"name": "kind", "base": 0, "size": KINDS + 1}],
        "attribute_rows": KINDS + 1,
        "text": [{"name": "title", "base": 0, "buckets": TEXT_ROWS}] if text else [],
        "text_rows": TEXT_ROWS * text,
    }


def _side(schema: dict, kind: np.ndarray, random: np.random.Generator) -> Side:
    rows, terms = len(kind), 2 * bool(schema["text_rows"])
    return Side(
        schema=schema,
        dense=random.normal(size=(rows, 1)).astype(np.float32),
        attribute_values=(kind + 1).astype(np.int32),
        attribute_lengths=np.ones((rows, 1), np.int32),
        ages=np.zeros((rows, 0), np.int64),
        text_values=random.integers(0, TEXT_ROWS, rows * terms).astype(np.int32),
        text_weights=np.full(rows * terms, 0.7, np.float32),
        text_lengths=np.full(rows, terms, np.int32),
    )
