"""Our offline store beside Feast's own and beside plain loops.

The property test asks 40 generated worlds 240 entity rows each: 9,600 cases, each of three features (a view, the same
view by another key, a view with a mapped column and a ttl of its own), held to the oracle and to the stock store, and
answered once more in parts.
"""

import random
import tempfile
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureService, Field, RequestSource
from feast.infra.data_sources.contrib.iceberg_catalog.iceberg_source import IcebergSource
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.transformation.pandas_transformation import PandasTransformation
from feast.types import Int64
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.asof.worlds import OURS, answers, answers_in_parts, asked, company, minute, store, stores, view, write

MICROSECOND = 1 / 60_000_000
QUESTIONS = 240


def oracle(rows, ttl, created, filtered, key, as_of):
    """The value of the newest row known by then, found by looking at all of them."""
    seen = [
        (event, -(10**9) if written is None or not created else written, number)
        for number, (company_id, event, written) in enumerate(rows)
        if key is not None and company_id == key and event is not None and event <= as_of
        if not (created and filtered) or (written is not None and written <= as_of)
    ]
    if not seen or (ttl and as_of > max(seen)[0] + ttl):
        return None
    return max(seen)[2]


def versions(draw, unique_by):
    """Rows no two of which the stock store could confuse."""
    found = {}
    for _ in range(draw.randrange(30)):
        event = draw.choice([*range(12), None])
        late = draw.choice([0, 0, 0, 1, 3, 8, -2, None])
        row = (draw.choice(["a", "b", "c", None]), event, None if late is None or event is None else event + late)
        found.setdefault(row[:unique_by], row)
    rows = list(found.values())
    draw.shuffle(rows)
    return rows


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(
    seed=st.integers(0, 2**32),
    created=st.booleans(),
    filtered=st.booleans(),
    ttl=st.sampled_from([None, 0, 1, 4]),
    zone=st.sampled_from(["UTC", "Asia/Seoul", None]),
)
def test_answers_are_those_of_the_oracle_and_of_the_stock_store(seed, created, filtered, ttl, zone):
    draw = random.Random(seed)
    rows, others = versions(draw, 3 if created else 2), versions(draw, 3)
    edges = [minute + step for minute in range(-1, 22) for step in (-MICROSECOND, 0, MICROSECOND)]
    keys = ["a", "b", "c", "nobody", None]
    questions = [(draw.choice(keys), draw.choice(keys), draw.choice(edges)) for _ in range(QUESTIONS - 20)]
    questions += draw.choices(questions, k=20)  # an entity row asked twice is answered twice
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        first = view(write(home / "a.parquet", rows, zone=zone), created=created, ttl=None if ttl is None else at(ttl))
        raw = pa.array(range(len(others)), pa.int64())
        path = write(home / "b.parquet", others, zone=zone, raw=raw)
        second = view(path, name="mapped", ttl=at(3), fields=("price",), mapping={"raw": "price"})
        ours, stock = stores(home, first, second)
        service = FeatureService(
            name="all",
            features=[
                first.with_name("own"),
                first.with_name("rival").with_join_key_map({"company_id": "rival_id"}),
                second,
            ],
        )
        ours.apply([service])
        table = asked(*questions, columns=("company_id", "rival_id"))
        options = {"full_feature_names": True, "filter_by_created_timestamp": filtered}
        found = answers(ours, table, service, **options)
        expected = [
            (
                oracle(rows, ttl, created, filtered, key, as_of),
                oracle(rows, ttl, created, filtered, rival, as_of),
                oracle(others, 3, True, filtered, key, as_of),
            )
            for key, rival, as_of in questions
        ]
        assert found == expected
        assert found == answers(stock, table, service, **options)
        part = draw.choice([2000, 8000])  # about 17 parts, or 5 in which the view by the other key is held
        assert found == answers_in_parts(part, ours, table, service, **options)


def at(number):
    return timedelta(minutes=number)


@pytest.fixture
def home(tmp_path):
    return tmp_path


def both(home, rows, questions, features=("versions:value",), *, options=None, **how):
    """Answers of ours, which the stock store must share."""
    zone = how.pop("zone", "UTC")
    ours, stock = stores(home, view(write(home / "v.parquet", rows, zone=zone), **how))
    found = answers(ours, questions, list(features), **(options or {}))
    assert found == answers(stock, questions, list(features), **(options or {}))
    return [values[0] for values in found]


def test_before_the_first_version_and_without_a_key_nothing_is_known(home):
    questions = asked(("a", 0), ("a", 5 - MICROSECOND), ("a", 5), ("nobody", 9), (None, 9))
    assert both(home, [("a", 5, 5), (None, 0, 0)], questions) == [None, None, 0, None, None]


def test_keys_that_are_all_null_match_nothing(home):
    ours, _ = stores(home, view(write(home / "v.parquet", [("a", 1, 1)])))
    assert answers(ours, asked((None, 9), (None, 9)), ["versions:value"]) == [(None,), (None,)]


def test_a_row_holds_for_its_time_to_live_and_not_a_microsecond_longer(home):
    questions = asked(("a", 3), ("a", 5), ("a", 5 + MICROSECOND))
    assert both(home, [("a", 1, 1), ("a", 2, 2)], questions, ttl=at(3)) == [1, 1, None]


def test_of_one_event_time_the_row_written_last_wins_and_one_never_written_loses(home):
    rows = [("a", 1, 4), ("a", 1, 3), ("a", 1, None), ("b", 1, None)]
    assert both(home, rows, asked(("a", 2), ("b", 2))) == [0, 3]


def test_with_the_created_filter_a_row_counts_from_when_it_was_written(home):
    rows = [("a", 1, 1), ("a", 2, 6), ("a", 4, 4), ("b", 1, None), ("a", 4, 8)]
    questions = asked(("a", 3), ("a", 5), ("a", 7), ("a", 8), ("b", 9))
    options = {"filter_by_created_timestamp": True}
    assert both(home, rows, questions, options=options) == [0, 2, 2, 4, None]


@pytest.mark.parametrize("zone", ["Asia/Seoul", None])
def test_moments_are_the_same_in_any_zone_and_naive_ones_are_utc(home, zone):
    questions = asked(("a", 4), ("a", 5))
    naive = questions.assign(event_timestamp=questions["event_timestamp"].dt.tz_localize(None))
    assert both(home, [("a", 5, 5)], questions, zone=zone) == [None, 0]
    assert both(home, [("a", 5, 5)], naive, zone=zone) == [None, 0]


def test_the_moment_may_be_text_or_have_a_name_of_its_own(home):
    text = asked(("a", 4), ("a", 5))
    text["event_timestamp"] = text["event_timestamp"].astype(str)
    assert both(home, [("a", 5, 5)], text) == [None, 0]
    renamed = asked(("a", 4), ("a", 5)).rename(columns={"event_timestamp": "published_at"})
    assert both(home, [("a", 5, 5)], renamed) == [None, 0]


def test_no_entity_rows_give_an_empty_answer_with_all_columns(home):
    ours, _ = stores(home, view(write(home / "v.parquet", [("a", 5, 5)])))
    table = ours.get_historical_features(asked(("a", 1)).head(0), ["versions:value"]).to_df()
    assert len(table) == 0
    assert set(table.columns) == {"company_id", "event_timestamp", "question", "value"}


def test_a_view_without_rows_knows_nothing(home):
    assert both(home, [], asked(("a", 5))) == [None]


def test_a_source_of_several_files_is_one(home):
    write(home / "v1.parquet", [("a", 1, 1), ("b", 1, 1)])
    write(home / "v2.parquet", [("a", 3, 3)], value=pa.array([7]))
    ours, stock = stores(home, view(home / "v*.parquet"))
    for one in (ours, stock):
        assert answers(one, asked(("a", 2), ("a", 3), ("b", 3)), ["versions:value"]) == [(0,), (7,), (1,)]


def test_the_times_may_have_other_names_in_the_file(home):
    path = write(home / "v.parquet", [("a", 1, 4), ("a", 1, 3), ("a", 5, 8)])
    pq.write_table(pq.read_table(path).rename_columns(["company_id", "happened", "told", "value"]), path)
    ours, stock = stores(home, view(path, mapping={"happened": "known_at", "told": "written_at"}))
    questions = asked(("a", 2), ("a", 3), ("a", 7), ("a", 8))
    for one in (ours, stock):
        assert answers(one, questions, ["versions:value"]) == [(0,), (0,), (2,), (2,)]
        late = answers(one, questions, ["versions:value"], filter_by_created_timestamp=True)
        assert late == [(None,), (1,), (0,), (2,)]


def test_a_feature_on_demand_is_computed_from_what_was_known(home):
    source = view(write(home / "v.parquet", [("a", 1, 1), ("a", 2, 2)]))
    extra = RequestSource(name="request", schema=[Field(name="extra", dtype=Int64)])
    doubled = OnDemandFeatureView(
        name="doubled",
        sources=[source, extra],
        schema=[Field(name="sum", dtype=Int64)],
        feature_transformation=PandasTransformation(
            udf=lambda table: pd.DataFrame({"sum": table["value"] + table["extra"]}), udf_string="sum"
        ),
        mode="pandas",
    )
    ours, stock = stores(home, source, doubled)
    questions = asked(("a", 1), ("a", 2)).assign(extra=[10, 20])
    features = ["versions:value", "doubled:sum"]
    assert answers(ours, questions, features) == answers(stock, questions, features) == [(0, 10), (1, 21)]
    for name, one in (("ours", ours), ("stock", stock)):
        storage = SavedDatasetFileStorage(str(home / f"{name}.parquet"))
        one.get_historical_features(questions, features).persist(storage)
    assert sorted(pq.read_table(home / "ours.parquet")["sum"].to_pylist()) == [10, 21]
    assert "sum" not in pq.read_schema(home / "stock.parquet").names


def test_a_view_of_no_entity_answers_every_row_with_what_was_newest(home):
    path = write(home / "v.parquet", [("a", 1, 1), ("b", 3, 9), (None, 4, 4)])
    ours, stock = stores(home, view(path, of=(), ttl=at(10)))
    questions = asked(("a", 0), (None, 3), ("z", 8), ("z", 15))
    for options in ({}, {"filter_by_created_timestamp": True}):
        found = answers(ours, questions, ["versions:value"], **options)
        assert found == answers(stock, questions, ["versions:value"], **options)
        assert found == [(None,), (0,) if options else (1,), (2,), (None,)]


def test_a_reference_to_a_version_of_a_view_reads_that_version_where_the_registry_keeps_them(home):
    write(home / "v0.parquet", [("a", 1, 1)])
    write(home / "v1.parquet", [("a", 1, 1)], value=pa.array([7]), height=pa.array([8]))
    ours, stock = (store(home, kind, enable_online_feature_view_versioning=True) for kind in (OURS, "duckdb"))
    ours.apply([company, view(home / "v0.parquet")])
    ours.apply([view(home / "v1.parquet", fields=("value", "height"))])
    for one in (ours, stock):
        assert answers(one, asked(("a", 2)), ["versions:value"]) == [(7,)]
        assert answers(one, asked(("a", 2)), ["versions@v0:value", "versions@v1:height"]) == [(0, 8)]
    with pytest.raises(ValueError, match=r"versions@v0.* not supported"):
        answers(store(home), asked(("a", 2)), ["versions@v0:value"])


def test_a_source_that_is_no_parquet_is_left_to_the_stock_store(home, capsys):
    catalog = pytest.importorskip("pyiceberg.catalog", reason="pyiceberg is not installed")
    place = {"catalog_type": "sql", "warehouse": f"file://{home}/lake", "namespace": "bidrec"}
    database = {"uri": f"sqlite:///{home}/catalog.db"}
    iceberg = catalog.load_catalog("feast_iceberg", type="sql", warehouse=place["warehouse"], **database)
    iceberg.create_namespace("bidrec")
    table = pq.read_table(write(home / "v.parquet", [("a", 1, 1), ("a", 2, 2)]))
    iceberg.create_table("bidrec.versions", schema=table.schema).append(table)
    versions = view(home / "v.parquet")
    versions.batch_source = IcebergSource(
        table="versions",
        catalog_properties=database,
        timestamp_field="known_at",
        created_timestamp_column="written_at",
        **place,
    )
    ours, stock = stores(home, versions)
    (home / "v.parquet").unlink()
    for one in (ours, stock):
        assert answers(one, asked(("a", 0), ("a", 1), ("a", 2)), ["versions:value"]) == [(None,), (0,), (1,)]
    assert "views left to Feast's own DuckDB store" in capsys.readouterr().err


# Where the stock store is wrong or undefined (docs/asof.md).


def test_rows_that_are_equal_in_all_times_are_told_apart_by_their_place_in_the_file(home):
    ours, _ = stores(home, view(write(home / "v.parquet", [("a", 1, 1)] * 5000 + [("b", 1, 1)])))
    for _ in range(3):
        assert answers(ours, asked(("a", 2), ("b", 2)), ["versions:value"]) == [(4999,), (5000,)]


def test_a_feature_named_like_a_column_of_a_join_is_a_feature_like_any_other(home):
    path = write(home / "v.parquet", [("a", 1, 1)], city_y=pa.array([5]))
    ours, stock = stores(home, view(path, fields=("city_y",)))
    assert answers(ours, asked(("a", 2)), ["versions:city_y"]) == [(5,)]
    with pytest.raises(Exception, match="city_y"):
        answers(stock, asked(("a", 2)), ["versions:city_y"])


def test_entity_rows_as_a_select_and_the_sql_of_the_answer_are_ours_alone(home):
    _, stock = stores(home, view(write(home / "v.parquet", [("a", 1, 1)])))
    with pytest.raises(AttributeError):
        stock.get_historical_features("SELECT 'a' AS company_id, now() AS event_timestamp", ["versions:value"])
    with pytest.raises(NotImplementedError):
        stock.get_historical_features(asked(("a", 1)), ["versions:value"]).to_sql()


def test_materialize_is_feasts_own(home):
    ours, _ = stores(home, view(write(home / "v.parquet", [("a", 1, 1), ("a", 2, 2), ("a", 9, 9)])))
    ours.materialize(minute(0), minute(5))
    assert ours.get_online_features(["versions:value"], [{"company_id": "a"}]).to_dict()["value"] == [1]
