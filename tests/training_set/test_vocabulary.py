from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.training_set.encoders import fit_vocabulary, read_vocabularies, write_vocabularies

values = st.none() | st.sampled_from(["a", "B", "가", "ab", ""])


def known(rows):
    """Values in at least two rows, the most frequent first, equals in the order of their UTF-8."""
    counts = Counter(value for row in rows for value in set(row) if value is not None)
    kept = [value for value, n in counts.items() if n >= 2]
    return sorted(kept, key=lambda value: (-counts[value], value.encode())), counts


@settings(deadline=None)
@given(st.lists(values, max_size=20))
def test_the_vocabulary_of_a_column_holds_what_two_rows_share(column):
    expected, counts = known([[value] for value in column])
    fitted = fit_vocabulary(pa.array(column, pa.string()))
    assert fitted.values.to_pylist() == expected
    assert fitted.rows.tolist() == [counts[value] for value in expected]
    ids = fitted.ids(pa.array([*column, None, "never seen"], pa.string()))
    assert ids.tolist() == [expected.index(v) + 1 if v in expected else 0 for v in column] + [0, 0]


@settings(deadline=None)
@given(st.lists(st.none() | st.lists(values, max_size=4), max_size=12))
def test_a_bag_counts_a_value_once_a_row(column):
    expected, counts = known([row or [] for row in column])
    fitted = fit_vocabulary(pa.array(column, pa.list_(pa.string())))
    assert fitted.values.to_pylist() == expected
    assert fitted.rows.tolist() == [counts[value] for value in expected]


def test_vocabularies_come_back_from_disk_with_the_same_ids(tmp_path):
    fields = {
        "empty": fit_vocabulary(pa.array([], pa.string())),
        "place": fit_vocabulary(pa.array(["서울"] * 2 + ["부산"] * 3)),
        "buyer": fit_vocabulary(pa.array(["서울"] * 2)),
    }
    path = tmp_path / "vocabulary.parquet"
    write_vocabularies(path, fields)
    again = read_vocabularies(path, list(fields))
    assert {name: v.values.to_pylist() for name, v in again.items()} == {
        "empty": [],
        "place": ["부산", "서울"],
        "buyer": ["서울"],
    }
    assert [v.size for v in again.values()] == [1, 3, 2]
    assert again["place"].rows.tolist() == [3, 2]
    write_vocabularies(path, {})
    assert read_vocabularies(path, []) == {}
    assert np.array_equal(again["empty"].ids(pa.array(["x", None])), [0, 0])
