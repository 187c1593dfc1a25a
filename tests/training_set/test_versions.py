import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.training_set.versions import versions_of

events = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=20).map(sorted)


def keys(rows):
    table = np.array(rows, np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


@settings(deadline=None)
@given(events, st.sets(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=8).map(sorted))
def test_versions_are_the_moments_at_which_a_bid_or_a_record_became_known(log, profile):
    activity = sorted(set(log))
    length = [sum(e[0] == company and e[1] <= known_at for e in log) for company, known_at in activity]
    found = versions_of(keys(activity), keys(profile), np.array(length, np.int64), keys(log)[0])
    assert list(zip(found.company.tolist(), found.known_at.tolist(), strict=True)) == sorted({*activity, *profile})
    for v, (company, known_at) in enumerate(zip(found.company, found.known_at, strict=True)):
        seen = [e for e in log if e[0] == company and e[1] <= known_at]
        assert log[found.log_begin[v] : found.log_end[v]] == seen
        for rows, pointer in ((activity, found.activity[v]), (profile, found.profile[v])):
            known = [i for i, row in enumerate(rows) if row[0] == company and row[1] <= known_at]
            assert pointer == max(known, default=-1)
