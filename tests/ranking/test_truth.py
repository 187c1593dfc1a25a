from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidrec.errors import InputMissing
from bidrec.ranking.ground_truth import Truth, known_companies, newest_profiles, refreshes
from tests.ranking.sets import DAY, training_set

# Notices of days 0, 10, 19, 20; bids (notice, company, known on day).
SET = training_set([0, 10, 19, 20], [(0, 0, 5), (0, 2, 5), (1, 0, 15), (1, 1, 15), (3, 1, 25)])


def test_a_window_holds_the_notices_from_its_start_until_before_its_end():
    truth = Truth.of(SET, 10 * DAY, 20 * DAY)
    assert truth.notices.tolist() == [1]
    assert list(zip(truth.query.tolist(), truth.company.tolist(), strict=True)) == [(0, 0), (0, 1)]
    assert truth.without_bids == 1


def test_bids_opened_too_late_are_left_out_where_asked():
    everything, early = Truth.of(SET, 0, 30 * DAY), Truth.of(SET, 0, 30 * DAY, known_before=25 * DAY)
    assert everything.notices.tolist() == [0, 1, 3]
    assert early.notices.tolist() == [0, 1]
    assert early.without_bids == 2


@given(st.integers(1, 4), st.integers(0, 5))
def test_thinned_notices_keep_their_own_bids_and_are_spread_over_the_window(notices, at_most):
    bids = [(notice, company, 5) for notice in range(notices) for company in range(notice % 3 + 1)]
    whole = Truth.of(training_set(list(range(notices)), bids), 0, 30 * DAY)
    thin = whole.thinned(at_most)
    kept = {int(notice) for notice in thin.notices}
    assert len(thin.notices) == min(notices, at_most or notices)
    assert thin.left_out == notices - len(thin.notices)
    assert list(zip(thin.notices[thin.query].tolist(), thin.company.tolist(), strict=True)) == [
        (notice, company) for notice, company, _ in bids if notice in kept
    ]
    assert thin.published_at.tolist() == [DAY * notice for notice in sorted(kept)]
    assert np.ptp(np.diff([*thin.notices, notices])) <= 1
    assert np.array_equal(thin.known_bids, whole.known_bids)


def test_known_bids_are_those_opened_before_the_window():
    assert Truth.of(SET, 10 * DAY, 20 * DAY).known_bids.tolist() == [1, 0, 1]
    assert Truth.of(SET, 15 * DAY, 21 * DAY).known_bids.tolist() == [1, 0, 1]
    assert Truth.of(SET, 15 * DAY + 1, 21 * DAY).known_bids.tolist() == [2, 1, 1]


@pytest.mark.parametrize("window", [(11, 20), (40, 50), (20, 20)])
def test_a_window_without_bids_is_refused_with_its_dates(window):
    with pytest.raises(InputMissing, match="has a bid") as error:
        Truth.of(SET, window[0] * DAY, window[1] * DAY)
    assert error.value.exit_code == 66
    assert "1970-0" in error.value.message


def test_a_candidate_is_known_before_the_cutoff_not_at_it():
    assert known_companies(SET, 5 * DAY).tolist() == [False, False, False]
    assert known_companies(SET, 5 * DAY + 1).tolist() == [True, False, True]
    assert known_companies(SET, 16 * DAY).tolist() == [True, True, True]
    assert np.array_equal(known_companies(training_set([0], [], companies=2), DAY), [False, False])


def test_a_companys_newest_record_is_known_before_the_moment_not_at_it():
    records = replace(
        training_set([0], [], companies=3),
        profile_company=np.array([0, 0, 0, 2], np.int32),
        profile_known_at=np.array([1, 4, 6, 5]) * DAY,
    )
    assert newest_profiles(records, DAY).tolist() == [-1, -1, -1]
    assert newest_profiles(records, 5 * DAY).tolist() == [1, -1, -1]
    assert newest_profiles(records, 6 * DAY).tolist() == [1, -1, 3]
    assert newest_profiles(records, 6 * DAY + 1).tolist() == [2, -1, 3]


DAILY = training_set(range(100), [(notice, notice % 7, notice + 3) for notice in range(100)])


@given(st.integers(0, 90), st.integers(1, 60), st.integers(1, 30))
def test_every_notice_falls_into_one_stretch_that_began_at_most_the_given_days_before(first, length, days):
    truth = Truth.of(DAILY, first * DAY, (first + length) * DAY)
    stretches = refreshes(truth, days)
    covered = [position for queries, _ in stretches for position in range(queries.start, queries.stop)]
    assert covered == list(range(len(truth.notices)))
    for queries, as_of in stretches:
        published = DAILY.notice_published_at[truth.notices[queries]]
        assert (published >= as_of).all()
        assert (published < as_of + days * DAY).all()
        assert (as_of - truth.lo) % (days * DAY) == 0


def test_a_window_that_ends_early_has_its_last_notices_in_the_last_stretch():
    truth = Truth.of(DAILY, 0, 10 * DAY)
    assert [(q.start, q.stop, as_of) for q, as_of in refreshes(truth, 7)] == [(0, 7, 0), (7, 10, 7 * DAY)]
    assert np.array_equal(truth.notices, np.arange(10))
