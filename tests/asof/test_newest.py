import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from feast import FeatureView, Field, FileSource
from feast.type_map import NULL_TIMESTAMP_INT_VALUE, python_values_to_proto_values
from feast.types import Int64
from feast.value_type import ValueType
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.asof.job import Limits
from bidrec.asof.newest import NewestRetrievalJob, Stretch
from bidrec.errors import ConfigurationError, ContractError, InputMissing, Interrupted
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


def of_minutes(path, start=0, end=9):
    """The stretch of a view of tests.asof.worlds."""
    return Stretch(
        source="versions",
        path=str(path),
        keys=["company_id"],
        features=["value"],
        event_time="known_at",
        start=minute(start),
        end=minute(end),
    )


@given(
    st.lists(
        st.none() | st.lists(st.none() | st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)), max_size=3),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["UTC", None]),
)
def test_lists_of_times_are_stored_to_the_second_whatever_they_hold(lists, zone):
    times = pa.array(lists, pa.list_(pa.timestamp("us", zone)))
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "v.parquet", [(str(row), 1, 1) for row in range(len(lists))], value=times)
        table = NewestRetrievalJob(of_minutes(path), Limits()).to_arrow().sort_by("company_id")
    stored = python_values_to_proto_values(
        table.combine_chunks()["value"].to_numpy(zero_copy_only=False), ValueType.UNIX_TIMESTAMP_LIST
    )
    for proto, moments in zip(stored, lists, strict=True):
        known = [moment for moment in moments or [] if moment is not None]
        expected = [int(moment.replace(tzinfo=UTC).timestamp()) for moment in known]
        told = list(proto.unix_timestamp_list_val.val)
        assert [second for second in told if second != NULL_TIMESTAMP_INT_VALUE] == expected
        assert len(told) == len(moments or [])


def test_files_that_differ_in_a_column_s_type_are_refused_as_they_are_for_training(tmp_path):
    write(tmp_path / "v1.parquet", [("a", 1, 1)])
    write(tmp_path / "v2.parquet", [("a", 2, 2)], value=pa.array([2.5]))
    with pytest.raises(ContractError, match=r"column 'value' is BIGINT in .*v1\.parquet but DOUBLE in .*v2\.parquet"):
        NewestRetrievalJob(of_minutes(tmp_path / "v*.parquet"), Limits()).to_arrow()


def test_a_file_with_a_column_named_like_a_row_s_place_is_refused(tmp_path):
    path = write(tmp_path / "v.parquet", [("a", 1, 1), ("a", 2, 2)], file_row_number=pa.array([7, 7]))
    with pytest.raises(ContractError, match="file_row_number"):
        NewestRetrievalJob(of_minutes(path), Limits()).to_arrow()


def disturbed(before=lambda: None, after=lambda: None) -> Limits:
    """Limits whose connection has something happen before, or after, the question for the newest is answered."""

    class Meanwhile(Limits):
        @contextmanager
        def connect(self):
            with super().connect() as connection:
                yield Disturbed(connection)

    class Disturbed:
        def __init__(self, connection):
            self.connection = connection

        def execute(self, sql):
            if "max_by" not in sql:
                return self.connection.execute(sql)
            before()
            answer = self.connection.execute(sql)
            after()
            return answer

    return Meanwhile()


def test_a_file_that_is_written_again_while_it_is_read_makes_the_answer_void(tmp_path):
    path = write(tmp_path / "v.parquet", [("a", 1, 1)])

    def written_again():
        path.unlink()
        write(path, [("a", 1, 1), ("a", 2, 2)])

    with pytest.raises(Interrupted, match=r"v\.parquet changed while it was read"):
        NewestRetrievalJob(of_minutes(path), disturbed(after=written_again)).to_arrow()


def test_files_that_are_put_together_while_they_are_read_are_asked_for_again(tmp_path):
    path = write(tmp_path / "v1.parquet", [("a", 1, 1)])
    write(tmp_path / "v2.parquet", [("a", 2, 2)])

    def put_together():
        path.unlink()
        write(tmp_path / "v2.parquet", [("a", 1, 1), ("a", 2, 2)]).rename(tmp_path / "v3.parquet")

    job = of_minutes(tmp_path / "v*.parquet")
    with pytest.raises(Interrupted, match=r"v1\.parquet changed while it was read") as caught:
        NewestRetrievalJob(job, disturbed(before=put_together)).to_arrow()
    assert caught.value.exit_code == 75
    assert NewestRetrievalJob(job, Limits()).to_arrow()["value"].to_pylist() == [1]


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


def test_what_is_stamped_as_it_is_written_may_be_written_after_the_first_materialize(tmp_path, capsys):
    source = FileSource(name="lists_source", path=str(tmp_path / "lists*.parquet"), timestamp_field="written_at")
    lists = FeatureView(name="lists", entities=[company], schema=[Field(name="value", dtype=Int64)], source=source)
    ours = serving(tmp_path, lists)
    assert materialized(ours, name="lists") == [None]
    said = capsys.readouterr()
    assert ("nothing is written yet" in said.out, "nothing is written yet" in said.err) == (False, True)
    write(tmp_path / "lists.parquet", [("a", None, 120)])
    ours.materialize_incremental(minute(130), feature_views=["lists"])
    assert ours.get_online_features(["lists:value"], [{"company_id": "a"}]).to_dict()["value"] == [0]


def test_of_a_view_of_no_entity_the_newest_row_of_all_is_online(tmp_path):
    """As by Feast's other stores; its DuckDB store ends in: Column __dummy_id not found in table."""
    rows = [("a", 1, 1), ("b", 5, 1), ("a", 3, 1), ("c", None, 9)]
    ours = serving(tmp_path, view(write(tmp_path / "v.parquet", rows), of=()))
    assert materialized(ours) == [1]


@pytest.mark.parametrize("path", ["versions", "versions/*.parquet"])
def test_files_of_a_folder_are_materialized_also_where_feast_chooses_the_newest_rows(tmp_path, path):
    (tmp_path / "versions").mkdir()
    write(tmp_path / "versions" / "v1.parquet", [("a", 3, 1)])
    write(tmp_path / "versions" / "v2.parquet", [("a", 1, 1)], value=pa.array([9]))
    ours = serving(tmp_path, view(tmp_path / path))
    ours.config.materialization_config.pull_latest_features = False
    assert materialized(ours) == [0]


def test_a_row_without_a_key_is_not_online_and_the_others_are(tmp_path):
    """Feast's DuckDB store ends the whole view in: Value type not supported."""
    ours = serving(tmp_path, view(write(tmp_path / "v.parquet", [(None, 1, 1), ("a", 1, 1)])))
    assert materialized(ours) == [1]


@pytest.mark.parametrize("field", ["height", "Value"])
def test_a_field_without_a_column_is_refused_as_it_is_for_training(tmp_path, field):
    ours = serving(tmp_path, view(write(tmp_path / "v.parquet", [("a", 1, 1)]), fields=(field,)))
    with pytest.raises(ContractError, match=rf"versions_source: .*v\.parquet has no column '{field}'"):
        materialized(ours)


def test_times_that_are_no_times_are_refused_as_they_are_for_training(tmp_path):
    path = write(tmp_path / "v.parquet", [("a", 1, 1)], known_at=pa.array([1_704_067_260]))
    with pytest.raises(ContractError, match=r"versions: Conversion Error: .*BIGINT -> TIMESTAMP WITH TIME ZONE"):
        NewestRetrievalJob(of_minutes(path), Limits()).to_arrow()


def test_a_limit_in_which_the_newest_rows_cannot_be_found_says_what_to_raise(tmp_path):
    path = write(tmp_path / "v.parquet", [(str(number), 1, 1) for number in range(100_000)])
    limits = Limits(memory_limit="5MB", temp_directory=str(tmp_path / "spill"))
    with pytest.raises(ConfigurationError, match=r"versions: Out of Memory") as caught:
        NewestRetrievalJob(of_minutes(path), limits).to_arrow()
    assert caught.value.hint == "raise memory_limit, or make room in temp_directory"
