import numpy as np
import pyarrow.parquet as pq
import pytest

from bidrec.config import Ranking
from bidrec.errors import ContractError
from bidrec.ranking.eligibility import Eligibility
from bidrec.training_set.arrays import TrainingSet
from bidrec.training_set.build import build_training_set
from bidrec.training_set.leak_audit import audit_training_set
from tests.training_set.tables import (
    NOTICE_FIELDS,
    config_of,
    day,
    field,
    schema_of,
    seconds,
    small_world,
    write_features,
)

FIELDS = (
    *NOTICE_FIELDS,
    field("region_limit", "Array(String)", "ignore"),
    field("licence_limit", "Array(String)", "ignore"),
)
# Each rare: the model's vocabulary would know none of these words.
LIMITED = {
    1: {"region_limit": ["HP", "Delhi"]},
    2: {"region_limit": [], "licence_limit": [None]},
    3: {"region_limit": ["Delhi", None, "HP", "HP"]},
    4: {"region_limit": ["Goa"], "licence_limit": ["water", "air"]},
    5: {"licence_limit": ["water"]},
}


def build(home, limited, fields=NOTICE_FIELDS):
    notices, bids, profiles = small_world()
    notices = [notice | limited.get(at, {}) for at, notice in enumerate(notices)]
    schema = write_features(home, notices, bids, profiles, schema_of(home, notice=fields))
    build_training_set(config_of(home), schema, home / "set")
    return TrainingSet.open(home / "set")


def words(ts, name, numbers):
    rows = pq.ParquetFile(ts.folder / f"{name}.parquet").read().to_pylist()
    return [(rows[number]["regions"], rows[number]["licences"]) for number in numbers]


def test_every_notice_and_every_profile_has_its_very_words_in_one_order(tmp_path):
    ts = build(tmp_path, LIMITED, FIELDS)
    anybody = (None, None)
    both = (["Delhi", "HP"], None)
    expected = [anybody, both, anybody, both, (["Goa"], ["air", "water"]), (None, ["water"]), *[anybody] * 4]
    assert words(ts, "notice/limits", ts.notice_limits) == expected
    assert words(ts, "profile/standing", ts.profile_standing) == [
        (["HP"], ["road"]),
        (["HP"], ["road", "water"]),
        (["HP"], None),
        (["Delhi"], []),
    ]
    assert words(ts, "notice/limits", [0]) == words(ts, "profile/standing", [0]) == [anybody]


def test_a_profile_counts_after_its_known_at_and_not_before(tmp_path):
    ts = build(tmp_path, LIMITED, FIELDS)
    eligibility = Eligibility.of(ts, Ranking())
    apex, bharat, cosmos, dormant = range(4)
    for_water = np.array([5])
    before, after = (
        eligibility.as_of(seconds(day(30)) + later).mask(for_water)[0] for later in (0, 1)
    )  # apex has its second licence from day 30 on
    assert before[[apex, bharat, cosmos, dormant]].tolist() == [False, True, True, False]
    assert after[[apex, bharat, cosmos, dormant]].tolist() == [True, True, True, False]


def test_a_source_without_limits_has_notices_for_anybody(tmp_path):
    ts = build(tmp_path, {})
    assert not ts.notice_limits.any()
    assert Eligibility.of(ts, Ranking()).as_of(seconds(day(90))).mask(np.arange(10)).all()


@pytest.mark.parametrize("name", ["notice/limits", "profile/standing"])
def test_a_word_that_no_row_of_the_set_says_is_refused_and_so_is_a_pointer_past_the_end(tmp_path, name):
    folder = build(tmp_path, LIMITED, FIELDS).folder
    numbers = np.load(folder / f"{name}.npy")
    np.save(folder / f"{name}.npy", np.where(numbers == numbers.max(), 0, numbers))
    with pytest.raises(ContractError, match=f"1 rows of {name} belong to nothing in the set"):
        audit_training_set(folder)
    np.save(folder / f"{name}.npy", numbers + 1)
    with pytest.raises(ContractError, match=f"a {name} lies outside"):
        audit_training_set(folder)
