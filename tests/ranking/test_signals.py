import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.ranking.baselines import LEAST, SCALE
from bidrec.ranking.neighbours import likely
from bidrec.ranking.pair_features import FIXED, NEWCOMERS, candidates_of, names_of
from tests.ranking.worlds import (
    ASKED,
    COMPANIES,
    COMPANY_CD,
    COUNTED,
    FIELDS,
    KNOWN,
    LATER,
    NOTICE_ND,
    TODAY,
    evidence,
)

pytestmark = pytest.mark.usefixtures("everything_counts")


@settings(max_examples=25)
@given(KNOWN, LATER, st.integers(1, 3 * COMPANIES))
def test_a_bid_opened_at_or_after_the_moment_changes_no_candidate_and_no_signal(known, later, most):
    before = candidates_of(evidence(known), ASKED, most, COUNTED)
    after = candidates_of(evidence(known, later), ASKED, most, COUNTED)
    np.testing.assert_array_equal(after.company_BM, before.company_BM)
    np.testing.assert_array_equal(after.signal_BMS, before.signal_BMS)


@settings(max_examples=25)
@given(KNOWN, st.integers(1, 3 * COMPANIES))
def test_candidates_are_the_best_of_the_towers_and_of_both_neighbours_known_and_each_once(known, most):
    made = evidence(known)
    share = max(1, most // 3)
    votes = [neighbours.votes(ASKED).toarray() for neighbours in (made.alike, made.near)]
    for row, companies in enumerate(candidates_of(made, ASKED, most, COUNTED).company_BM):
        found = companies[companies >= 0].tolist()
        assert found == sorted(set(found))
        assert set(found) <= set(made.known)
        by_towers = sorted(made.known, key=lambda company: -float(NOTICE_ND[ASKED[row]] @ COMPANY_CD[company]))
        assert set(by_towers[:share]) <= set(found)
        for votes_BC in votes:
            voted = votes_BC[row, found]
            wanted = sorted(votes_BC[row][votes_BC[row] > 0])[-share:]
            assert sorted(voted[voted > 0])[-len(wanted) :] == wanted
        assert len(found) <= 3 * share


@settings(max_examples=25)
@given(KNOWN)
def test_more_candidates_than_companies_are_all_companies_and_take_no_more_memory(known):
    made = evidence(known)
    everybody = candidates_of(made, ASKED, 3 * COMPANIES, COUNTED)
    found = candidates_of(made, ASKED, 10**15, COUNTED)
    np.testing.assert_array_equal(found.company_BM, everybody.company_BM)
    np.testing.assert_array_equal(found.signal_BMS, everybody.signal_BMS)


@settings(max_examples=25)
@given(KNOWN)
def test_every_signal_is_what_a_plain_loop_over_the_known_bids_says(known):
    made = evidence(known)
    found = candidates_of(made, ASKED, 3 * COMPANIES, COUNTED)
    assert {int(company) for company in found.company_BM.ravel() if company >= 0} == set(made.known)
    alike, near = made.alike.votes(ASKED), made.near.votes(ASKED)
    met = np.stack(list(made.company_bidders.spread(likely(near))))
    for row, place in zip(*np.nonzero(found.company_BM >= 0), strict=True):
        notice, company = ASKED[row], found.company_BM[row, place]
        expected = {
            "towers": NOTICE_ND[notice] @ COMPANY_CD[company],
            "alike notices": np.log(alike.toarray()[row, company] + LEAST),
            "near notices": np.log(near.toarray()[row, company] + LEAST),
            "co-bidders": np.log(max(met[row, company], 0) + LEAST),
            "bids of late": made.recent_C[company],
            "bids": made.lasting_C[company],
            "last bid": made.last_bid_C[company],
            **dict.fromkeys(NEWCOMERS, 0),
            "same unit": same(known, company, notice, ["unit"]),
            "same place": same(known, company, notice, ["place"]),
            "same unit and place": same(known, company, notice, ["unit", "place"]),
        }
        told = dict(zip(names_of(COUNTED), found.signal_BMS[row, place].tolist(), strict=True))
        assert told == pytest.approx(expected, rel=1e-4, abs=1e-6)


RECORDS = st.dictionaries(st.integers(0, COMPANIES - 1), st.integers(0, TODAY + 2), min_size=1)
"""Company -> day from which its record is known."""


@settings(max_examples=25)
@given(KNOWN, RECORDS)
def test_who_has_a_record_and_no_known_bid_is_told_by_its_peers_its_record_s_age_and_its_vector(known, records):
    made = evidence(known, records=records)
    found = candidates_of(made, ASKED, 3 * COMPANIES, COUNTED)
    near = made.near.votes(ASKED).toarray()
    seen = {company for company, day in records.items() if day < TODAY}
    newcomers = seen - {company for _, company in known}
    first = FIXED.index(NEWCOMERS[0])
    met = set()
    for row, place in zip(*np.nonzero(found.company_BM >= 0), strict=True):
        company, expected = int(found.company_BM[row, place]), [0] * len(NEWCOMERS)
        if company in newcomers:
            met.add(company)
            # Nothing tells the records apart here, so that all who have one are peers.
            lent, cosine = np.mean([near[row, other] for other in seen]), NOTICE_ND[ASKED[row]] @ COMPANY_CD[company]
            expected = [1, np.log(lent + LEAST), np.log1p(TODAY - records[company]), cosine]
        told = found.signal_BMS[row, place, first : first + len(NEWCOMERS)]
        np.testing.assert_allclose(told, expected, rtol=1e-4, atol=1e-5)
    assert met == newcomers


def same(known, company, asked, parts, half_life=400.0):
    """A company's bids on notices like the one asked about in all these fields, each of which must say something."""
    value = [FIELDS[part][asked] for part in parts]
    days = [
        day
        for (notice, bidder), day in known.items()
        if bidder == company and all(value) and [FIELDS[part][notice] for part in parts] == value
    ]
    return np.log(1 + SCALE * sum(0.5 ** ((TODAY - day) / half_life) for day in days))


def test_a_field_that_the_notices_lack_is_all_zeros_and_the_other_signals_are_as_without_it():
    known = {(0, 0): 5, (0, 1): 5, (2, 2): 6}
    lacking = evidence(known, fields={"unit": FIELDS["unit"]})
    found = candidates_of(lacking, ASKED, 15, ["place", "unit"])
    alone = candidates_of(lacking, ASKED, 15, ["unit"])
    assert not found.signal_BMS[:, :, len(FIXED)].any()
    assert found.signal_BMS[:, :, len(FIXED) + 1].any()
    np.testing.assert_array_equal(np.delete(found.signal_BMS, len(FIXED), axis=2), alone.signal_BMS)


def test_signals_are_named_in_the_order_in_which_they_stand():
    assert names_of(["unit", "unit and place"]) == (*FIXED, "same unit", "same unit and place")
    assert candidates_of(evidence({(0, 0): 5}), ASKED, 3, COUNTED).signal_BMS.shape[2] == len(names_of(COUNTED))


@pytest.mark.parametrize("fields", [FIELDS, {}])
@pytest.mark.parametrize("titles", [[[0]] * 8, [[]] * 8])
@pytest.mark.parametrize("known", [{}, {(0, 3): 5}])
def test_without_bids_fields_or_words_the_candidates_are_those_who_are_known(known, titles, fields):
    found = candidates_of(evidence(known, fields=fields, titles=titles), ASKED, 900, COUNTED)
    for companies in found.company_BM:
        assert companies[companies >= 0].tolist() == [company for _, company in known]
    assert np.isfinite(found.signal_BMS).all()


def test_no_notice_asked_about_has_no_candidate():
    found = candidates_of(evidence({(0, 0): 5}), ASKED[:0], 9, COUNTED)
    assert found.company_BM.shape[0] == found.signal_BMS.shape[0] == 0
