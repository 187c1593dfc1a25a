"""A question answered in parts is answered as in one, whatever its keys are."""

from dataclasses import replace
from datetime import timedelta
from random import Random

import duckdb
import pandas as pd
import pytest
from feast import Entity, ValueType

from bidrec.asof.job import Limits
from bidrec.asof.join import ASKED
from bidrec.asof.parts import MOST, divide
from tests.asof.worlds import asked, company, minute, stores, view, write

FEATURES = ["versions:value", "others:value"]
buyer = Entity(name="buyer", join_keys=["buyer_id"], value_type=ValueType.STRING)


def world(folder, draw):
    """Two views of one key, and one of another, of which some rows have no key."""

    def versions(name):
        rows = [(draw.choice([*"abcdefgh", None]), draw.randint(0, 9), draw.randint(0, 9)) for _ in range(100)]
        return write(folder / f"{name}.parquet", rows)

    mapping = {"company_id": "buyer_id"}
    bought = view(versions("bought"), name="bought", mapping=mapping, of=(buyer,))
    ours, _ = stores(folder, buyer, view(versions("v")), view(versions("o"), name="others"), bought)
    return ours


def rows_of(tables):
    return sorted(tuple(row.values()) for table in tables for row in table.to_pylist())


@pytest.mark.parametrize("seed", range(5))
def test_parts_of_any_size_give_the_answer_of_one(tmp_path, seed):
    draw = Random(seed)
    keys = [(draw.choice([*"abcdefghi", None]), draw.choice([*"abcdefghi", None]), n % 12) for n in range(400)]
    questions = asked(*keys, columns=("company_id", "buyer_id")).iloc[:, [3, 0, 1, 2]]
    job = world(tmp_path, draw).get_historical_features(
        questions, [*FEATURES, "bought:value"], full_feature_names=True, filter_by_created_timestamp=bool(seed % 2)
    )
    whole = rows_of(job._question.answer())
    for part in (2000, 40_000):  # the largest leaves room to hold the view of the other key
        assert rows_of(replace(job._question, limits=Limits(part=part)).answer()) == whole


@pytest.mark.parametrize(
    "keys",
    [
        pd.Series(list("dbacab"), dtype="category"),
        pd.Series(["a", "b", None, "a", "c", "d"]),
        pd.Series(["a"] * 6),
        pd.Series([None] * 6, dtype="object"),
    ],
    ids=["categories, which have an order of their own", "missing ones", "one alone", "none"],
)
def test_keys_of_any_kind_can_be_divided(tmp_path, keys):
    ours, _ = stores(tmp_path, view(write(tmp_path / "v.parquet", [(key, 0, 0) for key in "abcd"])))
    questions = pd.DataFrame({"question": range(6), "company_id": keys, "event_timestamp": [minute(1)] * 6})
    job = ours.get_historical_features(questions, ["versions:value"])
    divided = replace(job._question, limits=Limits(part=100))
    found = {row[0]: row[-1] for row in rows_of(divided.answer())}
    assert found == {n: {"a": 0, "b": 1, "c": 2, "d": 3}.get(key) for n, key in enumerate(keys)}


@pytest.mark.parametrize("twice", [False, True], ids=["one row a key", "several"])
@pytest.mark.parametrize("ttl", [0, 3])
def test_a_view_of_another_key_answers_as_of_the_moment_also_where_it_has_one_row_a_key(tmp_path, twice, ttl):
    draw = Random(7)
    bought = [(key, n, n) for n, key in enumerate("abcdefgh")] + [("c", 6, 60)] * twice
    source = write(tmp_path / "bought.parquet", bought)
    mapping = {"company_id": "buyer_id"}
    views = (
        view(write(tmp_path / "v.parquet", [(key, 0, 0) for key in "abcdefgh"] * 9)),
        view(source, name="bought", mapping=mapping, of=(buyer,), ttl=timedelta(minutes=ttl)),
    )
    ours, _ = stores(tmp_path, buyer, *views)
    keys = [(draw.choice("abcdefgh"), draw.choice([*"abcdefghi", None]), n % 12) for n in range(400)]
    questions = asked(*keys, columns=("company_id", "buyer_id"))
    job = ours.get_historical_features(questions, ["versions:value", "bought:value"], full_feature_names=True)
    found = {}
    for table in replace(job._question, limits=Limits(part=3000)).answer():
        found |= dict(zip(table["question"].to_pylist(), table["bought__value"].to_pylist(), strict=True))

    def newest(key, moment):
        known = [(at, row) for row, (k, at, _) in enumerate(bought) if k == key and at <= moment]
        at, row = max(known, default=(None, None))
        return row if known and (not ttl or moment - at <= ttl) else None

    assert [found[n] for n in range(400)] == [newest(key, moment) for _, key, moment in keys]


def test_however_little_room_there_is_the_parts_are_not_more_than_can_be_looked_through(tmp_path):
    ours, _ = stores(tmp_path, view(write(tmp_path / "v.parquet", [(str(n), 0, n) for n in range(1000)])))
    questions = asked(*((str(n), 1) for n in range(1000)))
    job = ours.get_historical_features(questions, ["versions:value"])
    with duckdb.connect() as connection:
        connection.register(ASKED, questions.drop(columns="event_timestamp"))
        assert len(divide(connection, job._question.views, 1)) == MOST


def test_every_question_is_in_one_part(tmp_path):
    questions = asked(*((key, 0) for key in [None, *"abcdefghij"] * 3))
    ours, _ = stores(tmp_path, view(write(tmp_path / "v.parquet", [(key, 0, 0) for key in "aej"])))
    views = ours.get_historical_features(questions, ["versions:value"])._question.views
    with duckdb.connect() as connection:
        connection.register(ASKED, questions.drop(columns="event_timestamp"))
        parts = divide(connection, views, 500)
        found = [
            n
            for part in parts
            for (n,) in connection.sql(f"SELECT question FROM asked WHERE {part.questions}").fetchall()
        ]
    assert len(parts) > 3
    assert sorted(found) == list(range(33))
    assert company.join_key == parts[0].column
