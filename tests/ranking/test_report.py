import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bidrec.ranking.report import DAY, refreshes
from bidrec.ranking.truth import Truth
from tests.training.sets import training_set

SET = training_set(notices=100)


@given(st.integers(0, 90), st.integers(1, 60), st.integers(1, 30))
def test_every_notice_falls_into_one_stretch_that_began_at_most_the_given_days_before(first, length, days):
    truth = Truth.of(SET, first * DAY, (first + length) * DAY)
    stretches = refreshes(SET, truth, days)
    covered = [position for queries, _ in stretches for position in range(queries.start, queries.stop)]
    assert covered == list(range(len(truth.notices)))
    for queries, as_of in stretches:
        published = SET.notice_published_at[truth.notices[queries]]
        assert (published >= as_of).all()
        assert (published < as_of + days * DAY).all()
        assert (as_of - truth.lo) % (days * DAY) == 0


def test_a_window_that_ends_early_has_its_last_notices_in_the_last_stretch():
    truth = Truth.of(SET, 0, 10 * DAY)
    assert [(q.start, q.stop, as_of) for q, as_of in refreshes(SET, truth, 7)] == [(0, 7, 0), (7, 10, 7 * DAY)]
    assert np.array_equal(truth.notices, np.arange(10))
