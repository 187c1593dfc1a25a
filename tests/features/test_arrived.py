import duckdb
import pytest

from bidrec.errors import ContractError
from bidrec.features.arrived import write_arrived

BARE = {"notice_id": "x", "published_at": "2025-01-01T00:00:00Z", "value": 1000.0}


def written(given, added=()):
    with duckdb.connect() as connection:
        write_arrived(connection, BARE | given, added)
        return connection.execute("SELECT * FROM notice").to_arrow_table().to_pylist()[0]


@pytest.mark.parametrize("name", ["log_value", "value_band", "lead_days", "month", "unit_category"])
def test_what_is_worked_out_of_a_notice_is_no_column_that_is_given(name):
    """Though it is among the fields that a run reads, which is where the added ones are looked for."""
    assert name in written({})
    with pytest.raises(ContractError, match=f"no column '{name}'"):
        written({name: 3.0}, added=[name])


@pytest.mark.parametrize("name", ["floor_area", "floor area", "면적", 'the "area"', "1", "select"])
def test_a_column_of_the_source_s_own_is_carried_through_whatever_its_name(name):
    row = written({name: 3.0, "title": "Road"}, added=["other", name, "log_value"])
    assert (row[name], row["title"], row["value"]) == (3.0, "Road", 1000.0)
    assert row.keys() - written({}).keys() == {name}


def test_an_own_column_without_a_value_is_one_that_is_not_given():
    """It has no type by which it could be read."""
    assert written({"floor area": None, "title": None}, added=["floor area"]) == written({})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"closes_at": "2024-12-31T00:00:00Z"}, "cannot be: closes_at is before published_at"),
        ({"value": -1.0}, "cannot be: value is negative"),
        ({"published_at": "2025-01-01T00:00:00"}, "published_at does not say in which zone"),
        ({"closes_at": "tomorrow"}, "closes_at is no time: 'tomorrow'"),
        ({"value": "much"}, "the notice cannot be read"),
        ({"notice_id": None}, "lacks notice_id"),
    ],
)
def test_what_no_notice_can_be_is_refused_in_words(given, said):
    with pytest.raises(ContractError, match=said):
        written(given)
