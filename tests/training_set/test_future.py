"""Markets that are the same up to the cutoff, whatever they are from then on: what is learned from is the same."""

from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.training_set.arrays import TrainingSet
from bidrec.training_set.build import build_training_set
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

CUTOFF = 60
words = st.sampled_from(["Road works at Shimla", "Water", "새 도로 포장", None])
values = st.sampled_from([None, -1.0, 0.0, 12.0, 1e9])
days = st.integers(CUTOFF, 95)
notices = st.lists(
    st.fixed_dictionaries(
        {
            "published_at": days.map(day),
            "title": words,
            "place": words,
            "attributes": st.sampled_from([None, ["cover=2"], ["new=1"]]),
            "log_value": values,
            "lead_days": values,
        }
    ),
    max_size=5,
)
profiles = st.lists(
    st.tuples(st.sampled_from(["apex", "bharat", "cosmos"]), days, st.sampled_from(["HP", "Goa"]), values),
    max_size=3,
    unique_by=lambda profile: profile[:2],
)
bids = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(["cosmos", "delta"]), days, st.booleans()),
    max_size=6,
    unique_by=lambda bid: bid[:2],
)


@pytest.fixture(scope="module")
def nothing(tmp_path_factory):
    """What is learned from where nothing but the small world's own future comes."""
    return encoded(tmp_path_factory.mktemp("nothing"), [], [], [])


@settings(deadline=None, max_examples=10)
@given(notices, profiles, bids)
def test_what_is_known_from_the_cutoff_on_changes_nothing_that_is_learned_from(
    tmp_path_factory, nothing, notices, profiles, bids
):
    something = encoded(tmp_path_factory.mktemp("something"), notices, profiles, bids)
    assert nothing.keys() == something.keys()
    for name, value in nothing.items():
        np.testing.assert_equal(something[name], value, name)


def encoded(home: Any, new_notices: list[Any], new_profiles: list[Any], new_bids: list[Any]) -> dict[str, Any]:
    """What is fitted, and the rows and pairs known before the cutoff, of the small world and what came afterwards."""
    world, known, records = small_world()
    for number, notice in enumerate(world):
        notice["lead_days"] = [8.0, 3.0, 0.0][number % 3]  # none missing, but afterwards perhaps
    world += [notice | {"notice_id": f"new{number}"} for number, notice in enumerate(new_notices)]
    records += [
        {"company_id": company, "known_at": day(at), "region": region, "log_employees": people}
        for company, at, region, people in new_profiles
    ]
    known += [(f"n0{of}", company, day(at), won) for of, company, at, won in new_bids]
    schema = schema_of(home, (*NOTICE_FIELDS, field("lead_days", "Float64", "dense", scale="log1p")))
    write_features(home, world, known, records, schema)
    build_training_set(config_of(home), schema, home / "set")
    ts = TrainingSet.open(home / "set")
    found: dict[str, Any] = {}
    times = {"notice": ts.notice_published_at, "profile": ts.profile_known_at, "version": ts.version_known_at}
    for name, known_at in times.items():
        side, before = getattr(ts, name), known_at < seconds(day(CUTOFF))
        found[f"{name}: fit"] = (side.schema, pq.read_table(home / "set" / name / "vocabulary.parquet").to_pylist())
        found[f"{name}: IDF"] = np.load(home / "set" / name / "idf.npy")
        found[f"{name}: numbers and times"] = (side.dense[before], side.ages[before])
        found[f"{name}: attributes"] = jagged(side.attribute_values, side.attribute_lengths.sum(axis=1), before)
        found[f"{name}: terms"] = jagged(side.text_values, side.text_lengths, before)
        found[f"{name}: weights"] = jagged(side.text_weights, side.text_lengths, before)
    ids, companies = ts.notice_ids(), ts.company_ids()
    found["versions"] = {
        (companies[company], known_at): [ids[notice] for notice in ts.log_notice[begin:end]]
        for company, known_at, begin, end in zip(
            ts.version_company, ts.version_known_at, ts.version_log_begin, ts.version_log_end, strict=True
        )
        if known_at < seconds(day(CUTOFF))
    }
    found["pairs"] = {
        (ids[notice], companies[company]): version >= 0 and ts.version_known_at[version]
        for notice, company, version, known_at in zip(
            ts.pair_notice, ts.pair_company, ts.pair_version, ts.pair_known_at, strict=True
        )
        if known_at < seconds(day(CUTOFF))
    }
    return found


def jagged(values: Any, lengths: Any, rows: Any) -> list[list[Any]]:
    return [list(part) for part, kept in zip(np.split(values, np.cumsum(lengths)[:-1]), rows, strict=True) if kept]
