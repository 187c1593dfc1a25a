"""Rows added to a source by store.push and store.write_to_offline_store."""

from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pyarrow.parquet as pq
import pytest
from feast import Field, FileSource, PushSource
from feast.data_source import PushMode
from feast.feature_view import FeatureView
from feast.types import Int64

from bidrec.errors import CannotWrite, ConfigurationError, ContractError
from tests.asof.worlds import answers, asked, company, minute, stores, view, write
from tests.disks import read_only

VALUE = ["versions:value"]


@pytest.fixture
def home(tmp_path):
    return tmp_path


def row(company="a", event=1, written=1, value=7):
    """One row for the source, its columns in another order than the file's."""
    return pd.DataFrame(
        {"value": [value], "written_at": [minute(written)], "known_at": [minute(event)], "company_id": [company]}
    )


def test_of_rows_equal_in_all_times_the_one_that_was_added_last_counts(home):
    """Feast's DuckDB store writes what is added before what is there."""
    ours, _ = stores(home, view(write(home / "v.parquet", [("a", 1, 1), ("b", 1, 1)])))
    for value in (7, 8):
        ours.write_to_offline_store("versions", row(value=value))
        assert answers(ours, asked(("a", 2), ("b", 2)), VALUE) == [(value,), (1,)]
    assert pq.read_table(home / "v.parquet")["value"].to_pylist() == [0, 1, 7, 8]


def test_what_is_pushed_offline_is_part_of_history(home):
    told = PushSource(name="told", batch_source=view(write(home / "v.parquet", [("a", 1, 1)])).batch_source)
    pushed = FeatureView(name="versions", entities=[company], schema=[Field(name="value", dtype=Int64)], source=told)
    for one, value in zip(stores(home, pushed), (7, 8), strict=True):
        one.push("told", row(event=value, value=value), to=PushMode.ONLINE_AND_OFFLINE)
        assert answers(one, asked(("a", 6), ("a", value)), VALUE) == [(0,), (value,)]
        assert one.get_online_features(VALUE, [{"company_id": "a"}]).to_dict()["value"] == [value]


def test_rows_are_added_under_the_names_of_the_file_also_where_the_view_renames_them(home):
    """Feast's DuckDB store refuses its own renamed columns."""
    renaming = view(write(home / "v.parquet", [("a", 1, 1)]), fields=("points",), mapping={"value": "points"})
    ours, stock = stores(home, renaming)
    with pytest.raises(ValueError, match="incorrect columns"):
        stock.write_to_offline_store("versions", row())
    ours.write_to_offline_store("versions", row())
    assert answers(ours, asked(("a", 2)), ["versions:points"]) == [(7,)]


@pytest.mark.parametrize(("value", "said"), [("seven", "seven.*int64"), ([7], "list.*int64")])
def test_a_value_of_another_type_is_refused_and_the_file_stays(home, value, said):
    path = write(home / "v.parquet", [("a", 1, 1)])
    before = path.read_bytes()
    ours, _ = stores(home, view(path))
    with pytest.raises(ContractError, match=rf"view versions: .*{said}"):
        ours.write_to_offline_store("versions", row(value=value))
    assert path.read_bytes() == before


def test_a_disk_that_refuses_leaves_the_file_as_it_was(home):
    path = write(home / "v.parquet", [("a", 1, 1)])
    ours, _ = stores(home, view(path))
    with read_only(home), pytest.raises(CannotWrite):
        ours.write_to_offline_store("versions", row())
    assert pq.read_table(path).num_rows == 1


def test_rows_that_are_added_at_the_same_time_are_all_there(home):
    """As by requests to `feast serve`; Feast's DuckDB store keeps those of the last to write."""
    path = write(home / "v.parquet", [("a", 1, 1)])
    ours, _ = stores(home, view(path))
    with ThreadPoolExecutor(4) as writers:
        for added in [writers.submit(ours.write_to_offline_store, "versions", row(value=n)) for n in range(1, 21)]:
            added.result()
    assert sorted(pq.read_table(path)["value"].to_pylist()) == list(range(21))


@pytest.mark.parametrize("path", ["versions/*.parquet", "versions"])
def test_a_source_of_several_files_is_not_added_to(home, path):
    (home / "versions").mkdir()
    write(home / "versions" / "v.parquet", [("a", 1, 1)])
    ours, _ = stores(home, view(home / path))
    with pytest.raises(ConfigurationError, match=r"view versions: .* is no single file") as caught:
        ours.write_to_offline_store("versions", row())
    assert caught.value.hint == "bidrec makes its own; of yours, write another one beside them"
    assert [file.name for file in (home / "versions").iterdir()] == ["v.parquet"]


def test_the_columns_of_a_source_of_several_files_are_found_by_feast_too(home):
    """Feast's DuckDB store looks for a file of the pattern's name."""
    write(home / "v1.parquet", [("a", 1, 1)])
    inferred = FeatureView(
        name="versions",
        entities=[company],
        source=FileSource(name="versions_source", path=str(home / "v*.parquet"), timestamp_field="known_at"),
    )
    ours, _ = stores(home, inferred)
    assert sorted(field.name for field in ours.get_feature_view("versions").features) == ["value", "written_at"]
