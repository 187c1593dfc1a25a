"""What may be given as entity rows, beside Feast's own store, and what of it is refused in one line."""

from datetime import date
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Field, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Int64

from bidrec.errors import ContractError
from tests.asof.worlds import answers, asked, minute, stores, view, write

VALUE = ["versions:value"]


@pytest.fixture
def home(tmp_path):
    return tmp_path


@pytest.fixture
def both(home):
    return stores(home, view(write(home / "v.parquet", [("a", 1, 1), ("a", 5, 5)])))


def test_a_column_of_nothing_but_missing_values_comes_back_as_it_was(both):
    questions = asked(("a", 2), ("a", 6)).assign(won=None)
    for one in both:
        answer = one.get_historical_features(questions, VALUE)
        assert answer.to_arrow().schema.field("won").type == pa.null()
        assert answer.to_df()["won"].tolist() == [None, None]


def test_such_a_column_can_be_written(both, home):
    ours, _ = both
    ours.get_historical_features(asked(("a", 2)).assign(won=None), VALUE).to_parquet(home / "answer.parquet")
    assert pq.read_table(home / "answer.parquet")["won"].to_pylist() == [None]


@pytest.mark.parametrize("one", [0, 1], ids=["ours", "stock"])
def test_no_entity_rows_have_no_types_to_lose(both, one):
    answer = both[one].get_historical_features(asked().astype({"company_id": object}), VALUE).to_df()
    assert (len(answer), answer["company_id"].dtype) == (0, object)


def test_a_frame_that_was_made_empty_needs_no_types(both):
    ours, _ = both
    empty = pd.DataFrame({"company_id": [], "event_timestamp": []})
    assert ours.get_historical_features(empty, VALUE).to_df().columns.to_list() == [*empty, "value"]


def test_the_caller_s_frame_is_left_as_it_was_also_where_feast_makes_no_copy(both):
    ours, _ = both
    ours.config.coerce_tz_aware = False
    questions = asked(("a", 2))
    questions["event_timestamp"] = questions["event_timestamp"].astype(str)
    before = questions.copy()
    assert answers(ours, questions, VALUE) == [(0,)]
    pd.testing.assert_frame_equal(questions, before)


@pytest.mark.parametrize("end", [";", " ;\n", " -- those of a", "\n-- those of a;\n"])
def test_a_select_may_end_as_selects_do(both, end):
    ours, _ = both
    select = "SELECT 'a' AS company_id, TIMESTAMP '2024-01-01 00:02:00' AS event_timestamp"
    assert ours.get_historical_features(select + end, VALUE).to_df()["value"].tolist() == [0]


@pytest.mark.parametrize(
    ("moments", "said"),
    [
        ([1_704_067_260], "entity rows: event_timestamp is int64, no time"),
        ([1.5], "entity rows: event_timestamp is float64, no time"),
        ([True], "entity rows: event_timestamp is bool, no time"),
        (["yesterday evening"], "entity rows: event_timestamp: .*yesterday evening"),
        (["2024-01-01 09:02 KST"], "entity rows: event_timestamp: .*KST"),
        (["02/01/2024"], "entity rows: event_timestamp: .*02/01/2024"),
        ([[1]], "entity rows: event_timestamp: "),
    ],
)
def test_moments_that_are_no_times_are_refused(both, moments, said):
    ours, _ = both
    refused(ours, pd.DataFrame({"company_id": ["a"], "event_timestamp": moments}), said)


def test_texts_of_one_moment_may_be_of_several_offsets_and_as_exact_as_they_like(both):
    ours, _ = both
    texts = ["2024-01-01T00:04:59.999999", "2024-01-01T09:05+09:00", "2023-12-31 19:05:00-05:00", "2024-01-01 00:05Z"]
    questions = pd.DataFrame({"company_id": "a", "event_timestamp": texts, "place": range(4)})
    found = ours.get_historical_features(questions, VALUE).to_df().sort_values("place")
    assert found["value"].tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("asked_key", "kind", "stored", "other"),
    [
        (True, "BOOLEAN", 1, "BIGINT"),
        (1, "BIGINT", True, "BOOLEAN"),
        (date(2024, 1, 1), "DATE", 1, "BIGINT"),
        (1, "BIGINT", date(2024, 1, 1), "DATE"),
        (b"a", "BLOB", "a", "VARCHAR"),
        (1, "BIGINT", "1", "VARCHAR"),
    ],
)
def test_keys_of_another_kind_than_the_view_s_are_refused_rather_than_cast(home, asked_key, kind, stored, other):
    path = write(home / "v.parquet", [("a", 1, 1)], company_id=pa.array([stored]))
    ours, _ = stores(home, view(path))
    questions = asked(("a", 2)).assign(company_id=pd.Series([asked_key]))
    refused(ours, questions, f"entity rows: company_id is {kind}, but {other} in ")


@pytest.mark.parametrize(
    ("asked_key", "stored"),
    [(1, 1.0), (1.0, 1), (1, Decimal("1.00")), (minute(0), date(2024, 1, 1)), (date(2024, 1, 1), minute(0))],
)
def test_keys_of_one_kind_are_compared_by_value(home, asked_key, stored):
    ours, _ = stores(home, view(write(home / "v.parquet", [("a", 1, 1)], company_id=pa.array([stored]))))
    questions = asked(("a", 2)).assign(company_id=pd.Series([asked_key], dtype=object))
    assert answers(ours, questions, VALUE) == [(0,)]


def test_a_select_without_what_a_view_on_demand_needs_is_refused_by_name(home):
    versions = view(write(home / "v.parquet", [("a", 1, 1)]))
    bonus = RequestSource(name="bonus", schema=[Field(name="bonus", dtype=Int64)])

    @on_demand_feature_view(sources=[versions, bonus], schema=[Field(name="more", dtype=Int64)])
    def raised(rows):
        return rows.assign(more=rows["value"] + rows["bonus"])[["more"]]

    ours, _ = stores(home, versions, raised)
    select = "SELECT 'a' AS company_id, TIMESTAMP '2024-01-01 00:02:00' AS event_timestamp"
    with pytest.raises(ContractError, match="entity rows have no column bonus") as caught:
        ours.get_historical_features(select, ["raised:more"])
    assert caught.value.hint == "it is the key of a view, or what a view on demand is made of"


def test_moments_given_twice_are_refused(both):
    ours, _ = both
    questions = asked(("a", 2))
    twice = pd.concat([questions, questions[["event_timestamp"]]], axis=1)
    refused(ours, twice, "entity rows have several columns event_timestamp")


def test_keys_of_several_types_are_refused_by_name(both):
    ours, _ = both
    said = "entity rows: .*'int' object.*column company_id"
    refused(ours, asked(("a", 2), (7, 2)).astype({"company_id": object}), said)


@pytest.mark.parametrize("rows", [pa.table({"company_id": ["a"]}), [{"company_id": "a"}]], ids=["arrow", "list"])
def test_what_is_neither_a_frame_nor_a_select_is_refused_with_what_may_be_given(both, rows):
    ours, _ = both
    hint = refused(ours, rows, f"entity rows are a {type(rows).__name__}")
    assert hint == "give a pandas DataFrame, or a SELECT in DuckDB's SQL"


def refused(ours, rows, said):
    with pytest.raises(ContractError, match=said) as caught:
        ours.get_historical_features(rows, VALUE).to_arrow()
    assert "\n" not in caught.value.message
    return caught.value.hint
