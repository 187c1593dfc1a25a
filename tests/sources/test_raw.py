from datetime import UTC, datetime

import duckdb
import pytest

from bidrec.errors import ConfigurationError, ContractError
from bidrec.sources.definition import RawTable
from bidrec.sources.raw import make_view


def view(sql, columns, optional=None, zone="Asia/Seoul"):
    """The rows of raw_notice over `sql`, in a session of that zone."""
    raw = RawTable(name="notice", table="notice", columns=columns, optional=optional or {})
    with duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = '{zone}'")
        make_view(connection, raw, f"({sql})")
        return connection.execute("SELECT * FROM raw_notice").fetchall()


def test_text_becomes_the_declared_types_and_blank_text_null():
    rows = view(
        "SELECT '7' AS n, '1.5' AS x, ' ' AS y, '2024-01-01 10:00:00' AS t, '2024-01-01 10:00:00' AS tz",
        {"n": "INTEGER", "x": "DOUBLE", "y": "DOUBLE", "t": "TIMESTAMP", "tz": "TIMESTAMPTZ"},
    )
    instant = datetime(2024, 1, 1, 1, tzinfo=UTC)  # 10:00 in Seoul
    assert rows == [(7, 1.5, None, datetime(2024, 1, 1, 10), instant)]


def test_every_bad_value_is_counted_with_an_example():
    with pytest.raises(
        ContractError, match=r"n must be INTEGER, but 2 of 3 rows .*'x'.*; t must be TIMESTAMP, but 1 of 3"
    ):
        view(
            "SELECT * FROM (VALUES ('1', '2024-01-01'), ('x', '2024-13-01'), ('y', NULL)) v(n, t)",
            {"n": "INTEGER", "t": "TIMESTAMP"},
        )


def test_a_missing_column_is_named_with_the_nearest_and_optional_ones_are_null():
    assert view("SELECT 1 AS BIDNTCENO", {"bidntceno": "INTEGER"}, {"lcnslmtnm": "VARCHAR"}) == [(1, None)]
    with pytest.raises(ContractError, match=r"notice has no column bidntceno \(the nearest there is bidntcno\)"):
        view("SELECT 1 AS bidntcno", {"bidntceno": "INTEGER"})


def test_columns_that_are_not_declared_are_not_read():
    assert view("SELECT 1 AS a, 'Kim' AS ceonm", {"a": "INTEGER"}) == [(1,)]


def test_a_declared_type_that_does_not_exist_is_refused():
    with pytest.raises(ConfigurationError, match=r"\[raw\.notice\].*VARCHR"):
        view("SELECT 1 AS a", {"a": "INTEGER"}, {"b": "VARCHR"})


def test_a_number_that_is_neither_yes_nor_no_and_a_day_with_a_time_are_lost_values():
    assert view("SELECT 1 AS b, TIMESTAMP '2024-01-01' AS d", {"b": "BOOLEAN", "d": "DATE"})[0][0] is True
    with pytest.raises(ContractError, match=r"b must be BOOLEAN.*'2'.*; d must be DATE.*'2024-01-01 10:00:00'"):
        view("SELECT 2 AS b, TIMESTAMP '2024-01-01 10:00:00' AS d", {"b": "BOOLEAN", "d": "DATE"})


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        *((kind, "'1.5'") for kind in ("integer", "INT", "long", "UINTEGER")),
        *((kind, "'2024-01-01 10:00:00+09:00'") for kind in ("timestamp", "datetime", "TIMESTAMP_S", "TIMESTAMP_NS")),
        ("date", "'2024-01-01 10:00:00'"),
        ("bool", "2"),
    ],
)
def test_what_a_type_loses_is_lost_however_the_type_is_spelt(kind, given):
    with pytest.raises(ContractError, match="v must be"):
        view(f"SELECT {given} AS v", {"v": kind})


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        ("DECIMAL(10,2)", ["'1.005'", "1.005::DOUBLE", "1.005::DECIMAL(10,3)"], ["' 1.10 '", "'1.1000'", "1.1::FLOAT"]),
        ("DECIMAL(38,10)", ["'1.12345678901'"], ["'1234567.8901234567'", "7"]),
        ("FLOAT", ["'16777217'", "16777217", "1234567.89::DOUBLE"], ["'0.10'", "0.1::DOUBLE", "'1e3'", "'nan'"]),
        ("TIMESTAMP_S", ["'2024-01-01 23:59:59.5'", "TIMESTAMP '2024-01-01 23:59:59.5'"], ["'2024-01-01T10:00'"]),
        (
            "TIMESTAMP_S",
            ["TIMESTAMPTZ '2024-01-01 10:00:00.5'"],
            ["TIMESTAMPTZ '2024-01-01 10:00'", "DATE '2024-01-01'"],
        ),
        ("TIMESTAMP_MS", ["'2024-01-01 10:00:00.1234'", "'2024-01-01 10:00:00.1234'::TIMESTAMP_NS"], ["'9999-12-31'"]),
        ("DATE", ["'2024-01-01 10:00:00'::TIMESTAMP_NS"], ["TIMESTAMP_S '2024-01-01'"]),
    ],
)
def test_digits_that_a_type_has_no_room_for_are_lost_and_those_that_say_nothing_are_not(kind, given, kept):
    for value in kept:
        assert len(view(f"SELECT {value} AS v", {"v": kind})) == 1
    for value in given:
        with pytest.raises(ContractError, match="v must be"):
            view(f"SELECT {value} AS v", {"v": kind})


def test_a_list_as_text_whose_items_are_of_another_shape_is_a_lost_value():
    given = """SELECT '[{"id": "c1", "scheme": "GB-COH"}]' AS who, '["45233120-6", null]' AS codes"""
    kinds = {"who": "STRUCT(id VARCHAR, scheme VARCHAR)[]", "codes": "VARCHAR[]"}
    assert view(given, kinds) == [([{"id": "c1", "scheme": "GB-COH"}], ["45233120-6", None])]
    with pytest.raises(ContractError, match=r"who must be STRUCT\(id VARCHAR\)\[\], but 1 of 1 rows are not"):
        view(given, kinds | {"who": "STRUCT(id VARCHAR)[]"})


def test_a_wrong_number_is_told_nothing_about_times():
    with pytest.raises(ContractError, match="v must be DOUBLE") as caught:
        view("SELECT '1,5' AS v, '2024-01-01' AS d", {"v": "DOUBLE", "d": "DATE"})
    assert "offset" not in caught.value.hint


@pytest.mark.parametrize("offset", ["Z", "+00:00", "+09", "-0330", " UTC", ".5+09:00"])
def test_the_offset_of_a_clock_time_is_no_lost_value_where_it_is_read(offset):
    text = f"2024-01-01 10:00:00{offset}"
    for kind in ("TIMESTAMP", "DATE"):
        with pytest.raises(ContractError, match=f"t must be {kind}") as caught:
            view(f"SELECT '{text}' AS t", {"t": kind})
        assert "TIMESTAMPTZ" in caught.value.hint
    hours = {"+09": 1, "-0330": 13, ".5+09:00": 1}.get(offset, 10)
    ((found,),) = view(f"SELECT '{text}' AS t", {"t": "TIMESTAMPTZ"})
    assert found.astimezone(UTC).hour == hours


@pytest.mark.parametrize("text", ["2024-03-01 23:59:00", "2024-03-01T00:00:01", "2024-03-01-05", "2024-03-01 noon"])
def test_a_day_as_text_has_nothing_behind_it(text):
    assert len(view("SELECT '2024-03-01' AS d, ' 2024-03-01 00:00:00 ' AS e", {"d": "DATE", "e": "DATE"})) == 1
    with pytest.raises(ContractError, match="d must be DATE"):
        view(f"SELECT '{text}' AS d", {"d": "DATE"})


@pytest.mark.parametrize("name", ["BST", "CST", "IST", "NZ", "EST5EDT"])
def test_letters_that_several_countries_call_their_zone_by_are_a_lost_value(name):
    with pytest.raises(ContractError, match=f"t must be TIMESTAMPTZ, but 1 of 2 rows are not .*{name}"):
        view(f"SELECT unnest(['2024/07/01 10:00:00 {name}', '2024/07/01 10:00:00']) AS t", {"t": "TIMESTAMPTZ"})


@pytest.mark.parametrize(("name", "hour"), [("UTC", 10), ("utc", 10), ("GMT ", 10), ("America/Argentina/Salta", 13)])
def test_the_name_of_one_zone_is_read(name, hour):
    ((found,),) = view(f"SELECT '2024-07-01 10:00:00 {name}' AS t", {"t": "TIMESTAMPTZ"})
    assert found.astimezone(UTC).hour == hour


def test_an_instant_of_the_first_of_two_hours_that_a_clock_shows_alike_is_no_clock_time():
    kinds = {"t": "TIMESTAMP"}
    assert view("SELECT TIMESTAMPTZ '2024-10-27 01:30:00+00' AS t", kinds, zone="Europe/Madrid") == [
        (datetime(2024, 10, 27, 2, 30),)
    ]
    with pytest.raises(ContractError, match=r"t must be TIMESTAMP, .*'2024-10-27 02:30:00\+02'") as caught:
        view("SELECT TIMESTAMPTZ '2024-10-27 00:30:00+00' AS t", kinds, zone="Europe/Madrid")
    assert "TIMESTAMPTZ" in caught.value.hint
