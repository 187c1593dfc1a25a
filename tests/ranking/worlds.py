"""A small market for the second stage: six notices before the moment and two that are asked about, five companies."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from bidrec.config import Ranking
from bidrec.ranking.counts import Fields
from bidrec.ranking.eligibility import Eligibility
from bidrec.ranking.ground_truth import known_companies
from bidrec.ranking.pair_features import Evidence, names_of
from bidrec.ranking.ranker import VectorRanker
from bidrec.ranking.reranker import Blend
from tests.ranking.sets import DAY, training_set

PUBLISHED = [0, 0, 1, 1, 2, 2, 9, 9]
NOTICES, COMPANIES = len(PUBLISHED), 5
FIELDS = {"unit": [1, 2, 1, 0, 3, 1, 1, 0], "place": [1, 1, 2, 2, 0, 3, 1, 3]}
COUNTED = ["unit", "place", "unit and place"]
TITLES = [[0, 1], [2], [0], [3], [], [1, 4], [0, 1], [5]]
TODAY = 8
"""The moment, in days: bids opened on day 8 or later are not known."""
ASKED = np.array([6, 7])

_PAIR = st.tuples(st.integers(0, 5), st.integers(0, COMPANIES - 1))
KNOWN = st.dictionaries(_PAIR, st.integers(2, TODAY - 1))
"""(notice, company) -> day of the opening."""
LATER = st.dictionaries(st.tuples(st.integers(0, NOTICES - 1), st.integers(0, COMPANIES - 1)), st.integers(TODAY, 20))


def units(seed, rows, length=4):
    matrix = np.random.default_rng(seed).normal(size=(rows, length)).astype(np.float32)
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


NOTICE_ND, COMPANY_CD = units(1, NOTICES), units(2, COMPANIES)


def evidence(known, later=None, fields=FIELDS, titles=TITLES, settings=None, eligibility=None, records=None):
    """`records`: company -> day from which its record is known; the training set has no fields of companies."""
    bids = [(*pair, day) for opened in (known, later or {}) for pair, day in opened.items()]
    ts = training_set(PUBLISHED, bids, fields, titles, COMPANIES)
    company, day = (np.array(column, np.int64) for column in (list(records or {}), list((records or {}).values())))
    ts = replace(
        ts,
        profile_company=company,
        profile_known_at=day * DAY,
        profile_standing=np.zeros(len(company), np.int32),
        version_company=np.append(ts.version_company, company),
        version_known_at=np.append(ts.version_known_at, day * DAY),
    )
    vectors, known_C = VectorRanker(NOTICE_ND, COMPANY_CD), known_companies(ts, TODAY * DAY)
    if eligibility is None:
        eligibility = Eligibility(ts, ())
    return Evidence(ts, Fields.of(ts), TODAY * DAY, vectors, known_C, eligibility, settings or Ranking())


def blend(weights, counted=COUNTED):
    names = names_of(counted)
    weight = tuple(float(value) for value in np.resize(weights, len(names)))
    return Blend(names, (0.0,) * len(names), (1.0,) * len(names), weight, notices=1, slope=1.0, offset=0.0, level=0.0)
