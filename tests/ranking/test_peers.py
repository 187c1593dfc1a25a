import tracemalloc
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from bidrec.ranking import pair_features
from bidrec.ranking.pair_features import LAID_OUT, Peers, groups_of
from bidrec.training_set.arrays import Side

pytestmark = pytest.mark.usefixtures("everything_counts")

REGIONS, LICENCES, COMPANIES = 3, 4, 6

RECORDS = st.lists(
    st.tuples(st.integers(0, REGIONS - 1), st.lists(st.integers(0, LICENCES - 1), min_size=1, max_size=3, unique=True)),
    min_size=1,
    max_size=8,
)
"""Of each record: the code of its region, those of its licences; 0 is unknown."""


def profile(records, without=()):
    """The records as a side whose first field is another one, of two items a record."""
    fields = {
        "kinds": (2, [[0, 1]] * len(records)),
        "region": (REGIONS, [[region] for region, _ in records]),
        "licences": (LICENCES, [licences for _, licences in records]),
    }
    fields = {name: field for name, field in fields.items() if name not in without}
    base = dict(zip(fields, np.cumsum([0, *(size for size, _ in fields.values())]), strict=False))
    rows = [
        [[base[name] + code for code in codes[row]] for name, (_, codes) in fields.items()]
        for row in range(len(records))
    ]
    nothing = np.zeros(0, np.int32)
    return Side(
        schema={
            "attributes": [{"name": name, "base": int(base[name]), "size": size} for name, (size, _) in fields.items()]
        },
        dense=np.zeros((len(records), 0), np.float32),
        attribute_values=np.array([code for row in rows for codes in row for code in codes], np.int32),
        attribute_lengths=np.array([[len(codes) for codes in row] for row in rows], np.int32).reshape(-1, len(fields)),
        ages=np.zeros((len(records), 0), np.int64),
        text_values=nothing,
        text_weights=nothing.astype(np.float32),
        text_lengths=np.zeros(len(records), np.int32),
    )


@settings(max_examples=30)
@given(RECORDS, st.data())
def test_a_company_is_lent_the_mean_vote_of_those_of_its_region_and_each_of_its_licences(records, data):
    profile_C = np.array(data.draw(st.lists(st.integers(-1, len(records) - 1), min_size=COMPANIES, max_size=COMPANIES)))
    votes = np.random.default_rng(len(records)).random((2, COMPANIES)).astype(np.float32)
    groups = [{(records[row][0], licence) for licence in records[row][1]} if row >= 0 else set() for row in profile_C]
    asked = np.array([[True] * COMPANIES, [True, False] * (COMPANIES // 2)])
    everybody = np.tile(np.arange(COMPANIES), (2, 1))
    made = Peers(groups_of(profile(records)), profile_C)
    with patch.object(pair_features, "LAID_OUT", data.draw(st.sampled_from([1, LAID_OUT]))):
        lent = made.lent(sparse.csr_array(votes), everybody, asked)
    for notice in range(2):
        for company in range(COMPANIES):
            of_group = [
                np.mean([votes[notice, other] for other in range(COMPANIES) if group in groups[other]])
                for group in groups[company]
            ]
            expected = np.mean(of_group) if of_group and asked[notice, company] else 0
            assert lent[notice, company] == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_without_licences_the_companies_of_a_region_are_peers_and_without_both_all_are():
    records = [(1, [1]), (1, [2]), (2, [1])]
    votes = sparse.csr_array(np.array([[0.0, 1.0, 5.0]], np.float32))
    company, asked = np.array([[0, 1, 2]]), np.ones((1, 3), bool)
    for without, expected in ((["licences"], [0.5, 0.5, 5]), (["licences", "region"], [2, 2, 2])):
        made = Peers(groups_of(profile(records, without)), np.arange(3))
        np.testing.assert_allclose(made.lent(votes, company, asked), [expected], rtol=1e-6)


def test_no_record_at_all_lends_nothing():
    made = Peers(groups_of(profile([])), np.full(2, -1))
    votes = sparse.csr_array(np.ones((1, 2), np.float32))
    assert made.lent(votes, np.array([[0, 1]]), np.ones((1, 2), bool)).tolist() == [[0, 0]]


def test_memory_goes_by_the_groups_that_occur_and_not_by_all_regions_times_all_licences(monkeypatch):
    companies = 3000
    monkeypatch.setattr("tests.ranking.test_peers.REGIONS", companies)
    monkeypatch.setattr("tests.ranking.test_peers.LICENCES", companies)
    records = profile([(number, [number]) for number in range(companies)])
    votes = sparse.csr_array(np.eye(2, companies, dtype=np.float32))
    tracemalloc.start()
    lent = Peers(groups_of(records), np.arange(companies)).lent(
        votes, np.array([[0, 1], [0, 1]]), np.ones((2, 2), bool)
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert lent.tolist() == [[1, 0], [0, 1]]
    assert peak < 5e6  # nine million groups would take 72 MB
