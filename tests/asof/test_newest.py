import tempfile
from pathlib import Path

import pytest
from feast import FeatureView, Field, FileSource
from feast.types import Int64
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.asof.job import Limits
from bidrec.asof.newest import NewestRetrievalJob, Stretch
from bidrec.errors import InputMissing
from tests.asof.worlds import company, minute, store, view, write

versions = st.lists(
    st.tuples(st.sampled_from(["a", "b", None]), st.none() | st.integers(0, 6), st.none() | st.integers(0, 3)),
    max_size=12,
)


def newest(rows, created, start, end):
    """The numbers of the rows that hold at the end, found by looking at all of them."""
    best = {}
    for number, (key, event, written) in enumerate(rows):
        if key is not None and event is not None and start <= event <= end:
            rank = (event, -1 if written is None or not created else written, number)
            best[key] = max(rank, best.get(key, rank))
    return sorted(number for _, _, number in best.values())


@settings(max_examples=60, deadline=None)
@given(versions, st.booleans(), st.integers(0, 6), st.integers(0, 6), st.sampled_from(["UTC", None, "Asia/Seoul"]))
def test_of_each_key_the_row_written_last_at_the_newest_time_is_taken(rows, created, start, end, zone):
    with tempfile.TemporaryDirectory() as folder:
        stretch = Stretch(
            source="versions",
            path=str(write(Path(folder) / "versions.parquet", rows, zone=zone)),
            keys=["company_id"],
            features=["value"],
            event_time="known_at",
            created="written_at" if created else None,
            start=minute(start),
            end=minute(end),
        )
        answer = NewestRetrievalJob(stretch, Limits()).to_arrow()
    assert sorted(answer["value"].to_pylist()) == newest(rows, created, start, end)


def serving(folder, *definitions):
    """Our store with the definitions applied, set as feature_store.yaml sets it."""
    ours = store(folder)
    ours.config.materialization_config.pull_latest_features = True
    ours.apply([company, *definitions])
    return ours


def materialized(ours, *, name="versions"):
    ours.materialize(minute(0), minute(100), feature_views=[name])
    return ours.get_online_features([f"{name}:value"], [{"company_id": "a"}]).to_dict()["value"]


def test_a_view_whose_file_has_no_rows_is_readable_and_knows_nobody(tmp_path):
    ours = serving(tmp_path, view(write(tmp_path / "empty.parquet", [])))
    assert materialized(ours) == [None]


def test_a_view_whose_file_is_gone_is_66_and_what_is_online_stays_readable(tmp_path):
    file = write(tmp_path / "versions.parquet", [("a", 1, 1)])
    ours = serving(tmp_path, view(file))
    assert materialized(ours) == [0]
    file.unlink()
    with pytest.raises(InputMissing, match=r"versions_source: cannot read .*versions\.parquet"):
        materialized(ours)
    assert ours.get_online_features(["versions:value"], [{"company_id": "a"}]).to_dict()["value"] == [0]


def test_what_is_stamped_as_it_is_written_may_be_written_after_the_first_materialize(tmp_path):
    source = FileSource(name="lists_source", path=str(tmp_path / "lists*.parquet"), timestamp_field="written_at")
    lists = FeatureView(name="lists", entities=[company], schema=[Field(name="value", dtype=Int64)], source=source)
    ours = serving(tmp_path, lists)
    assert materialized(ours, name="lists") == [None]
    write(tmp_path / "lists.parquet", [("a", None, 120)])
    ours.materialize_incremental(minute(130), feature_views=["lists"])
    assert ours.get_online_features(["lists:value"], [{"company_id": "a"}]).to_dict()["value"] == [0]
