import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.training_set import arrays
from bidrec.training_set.arrays import SideRows


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as opened:
        opened.execute("SET TimeZone = 'UTC'")
        yield opened


pointers = st.lists(st.none() | st.integers(0, 6), max_size=15)


@settings(deadline=None)
@given(st.integers(0, 7), pointers)
def test_every_row_gets_its_feature_row_or_null_in_blocks_of_any_size(connection, features, wanted):
    known = iter(sorted(p for p in wanted if p is not None and p < features))
    pointer = [next(known, -1) if p is not None and p < features else -1 for p in wanted]
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE feature AS SELECT i, [i::VARCHAR] AS l FROM range({features}) t(i)"
    )
    side = SideRows(connection, "feature", np.zeros(len(pointer), np.int64), np.array(pointer, np.int32))
    expected = [None if p < 0 else [str(p)] for p in pointer]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "BLOCK_ROWS", 2)
        batches = list(side.batches({"l": "l"}))
    assert [value for batch in batches for value in batch["l"].to_pylist()] == expected
    assert side.column("l", np.arange(len(pointer))).to_pylist() == expected


def test_known_times_round_up_and_publications_down(connection):
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE moment AS SELECT unnest([TIMESTAMPTZ '1970-01-01 00:00:10.000001+00', "
        "TIMESTAMPTZ '1970-01-01 00:00:10+00', TIMESTAMPTZ '1969-12-31 23:59:59.5+00']) AS t"
    )
    for rounded, expected in (("ceil", [11, 10, 0]), ("floor", [10, 10, -1])):
        found = connection.execute(f"SELECT {arrays.seconds('t', rounded)} FROM moment").fetchall()
        assert [value for (value,) in found] == expected


def test_a_side_without_fields_still_has_its_rows(connection):
    connection.execute("CREATE OR REPLACE TEMP TABLE feature AS SELECT i FROM range(5) t(i)")
    assert sum(map(len, SideRows(connection, "feature", np.zeros(5, np.int64)).batches({}))) == 5
    assert isinstance(next(iter(SideRows(connection, "feature", np.zeros(5, np.int64)).batches({}))), pa.RecordBatch)
