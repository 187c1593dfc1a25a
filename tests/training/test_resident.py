from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bidrec.training.resident import Resident
from tests.training.sets import DAY, training_set

SET = training_set(notices=60)
DATA = Resident.of(SET, torch.device("cpu"))


@given(st.integers(-DAY, 70 * DAY))
def test_the_version_as_of_a_moment_is_the_newest_known_by_then(as_of: int) -> None:
    versions = DATA.versions_as_of(as_of).tolist()
    for company in range(SET.companies):
        known = np.flatnonzero((SET.version_company == company) & (SET.version_known_at <= as_of))
        assert versions[company] == (known[-1] if len(known) else -1)


@given(st.integers(0, 70 * DAY), st.integers(1, 6))
def test_a_history_is_the_last_bids_known_by_the_as_of_newest_first(as_of: int, length: int) -> None:
    versions = DATA.versions_as_of(as_of)
    known = versions[versions >= 0]
    history = DATA.histories(known, as_of, length)
    for row, version in enumerate(known.tolist()):
        mine = (SET.log_company == SET.version_company[version]) & (SET.log_known_at <= as_of)
        newest = SET.log_notice[mine][::-1][:length].tolist()
        own = slice(history.begin_B[row], history.begin_B[row + 1])
        assert history.notice_E[own].tolist() == newest
        assert history.count_B[row] == mine.sum()
        opened = SET.log_known_at[mine][::-1][:length]
        assert history.age_days_E[own].tolist() == pytest.approx(((as_of - opened) / DAY).tolist())


def test_a_company_without_a_profile_gets_the_row_that_stands_for_none() -> None:
    versions = DATA.versions_as_of(60 * DAY)
    batch = DATA.company_batch(versions[[0, 5]], 60 * DAY, length=3)
    assert batch.has_profile_B.tolist() == [True, False]
    assert batch.profile.attributes.tolist() == [1, 0]
    assert batch.history.begin_B.tolist() == [0, 0, 3]


def test_in_the_row_that_stands_for_none_every_number_is_said_to_be_missing() -> None:
    columns = ["employees", "employees is missing", "age"]
    profile = replace(
        SET.profile,
        dense=np.ones((SET.profile.rows, len(columns)), np.float32),
        schema=SET.profile.schema | {"dense_columns": columns},
    )
    data = Resident.of(replace(SET, profile=profile), torch.device("cpu"))
    assert data.profile.dense[-1].tolist() == [0.0, 1.0, 0.0]
