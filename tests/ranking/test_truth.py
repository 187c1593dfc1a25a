import numpy as np
import pytest

from bidrec.errors import InputMissing
from bidrec.ranking.truth import Truth, known_companies
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


def test_known_bids_are_those_opened_before_the_window():
    assert Truth.of(SET, 10 * DAY, 20 * DAY).known_bids.tolist() == [1, 0, 1]


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
