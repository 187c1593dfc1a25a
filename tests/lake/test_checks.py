from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.config import Contract
from bidrec.errors import ContractError, InputMissing
from bidrec.lake.checks import Checked, check
from bidrec.lake.parts import open_lake
from tests.features.lakes import write_lake
from tests.tables import DAY, HOUR, NOW, arrow, bid, company, give, notice

RULES = Contract()


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def checked(connection: duckdb.DuckDBPyConnection, **tables: Any) -> dict[str, Checked]:
    """Check the given tables; those not given are one right row each."""
    give(connection, **({"notice": [notice()], "company": [company()], "bid": [bid()]} | tables))
    return check(connection, RULES, NOW)


def reason(connection: duckdb.DuckDBPyConnection, table: str, where: str) -> str | None:
    return connection.execute(f"SELECT reason FROM checked_{table} WHERE {where}").fetchall()[0][0]


def without(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


def test_right_rows_are_kept_without_a_word(connection):
    found = checked(connection)
    assert [(table.given, table.quarantined, table.warnings) for table in found.values()] == [(1, 0, [])] * 3


@pytest.mark.parametrize("table", ["notice", "company", "bid"])
def test_an_empty_table_is_a_missing_input(connection, table):
    with pytest.raises(InputMissing, match=f"no row of {table}"):
        checked(connection, **{table: pyarrow.Table.from_pylist([{"notice_id": "a"}]).slice(0, 0)})


def test_a_missing_column_is_named_with_the_nearest_given_one(connection):
    row = without(notice(), "published_at") | {"publishedat": NOW}
    with pytest.raises(ContractError, match=r"notice.*no column published_at \(the nearest given is publishedat\)"):
        checked(connection, notice=[row])


def test_a_wrong_type_is_named_with_how_many_rows_and_an_example(connection):
    rows = [notice(0, value="12"), notice(1, value="many"), notice(2, value=" ")]
    with pytest.raises(ContractError, match=r"notice: value must be DOUBLE, but 1 of 3 rows are not .*'many'"):
        checked(connection, notice=rows)


def test_a_number_that_would_be_rounded_is_a_wrong_type(connection):
    with pytest.raises(ContractError, match=r"rank must be INTEGER, but 1 of 2 rows are not .*1\.5"):
        checked(connection, bid=[bid(by=0, rank=1.5), bid(by=1, rank=2.0)])


def test_a_scalar_where_a_list_belongs_is_a_contract_error(connection):
    with pytest.raises(ContractError, match="attributes"):
        checked(connection, notice=[notice(attributes=3)])


@pytest.mark.parametrize("value", [datetime(2024, 1, 1), NOW.date()])
def test_a_time_without_a_zone_never_gets_past_the_sources(connection, value):
    with pytest.raises(ContractError, match=r"published_at is .*not a time with a zone, in 1 rows") as caught:
        checked(connection, notice=[notice(published_at=value)])
    assert "AT TIME ZONE" in str(caught.value)


def test_a_time_as_text_is_to_be_declared_as_its_offset_would_be_lost_by_a_cast(connection):
    with pytest.raises(ContractError) as caught:
        checked(connection, notice=[notice(published_at="2024-06-01T06:45:50+01:00")])
    assert "TIMESTAMPTZ in source.toml" in caught.value.hint
    assert "AT TIME ZONE" not in caught.value.hint


def test_a_further_column_with_a_naive_time_is_refused_too(connection):
    with pytest.raises(ContractError, match="visit_at"):
        checked(connection, notice=[notice(visit_at=datetime(2024, 1, 1))])


def test_duplicate_keys_stop_the_job_with_an_example(connection):
    with pytest.raises(
        ContractError, match=r"bid: 1 keys .* in 2 rows \(for example notice_id = 'n0', company_id = 'c0'"
    ):
        checked(connection, bid=[bid(), bid(amount=1.0), bid(by=1)])


def test_keys_that_differ_only_in_padding_are_duplicates(connection):
    with pytest.raises(ContractError, match="occur more than once"):
        checked(connection, notice=[notice(), notice(notice_id="n0  ")])


def test_two_versions_of_a_company_at_one_time_are_a_tie(connection):
    with pytest.raises(ContractError, match=r"company: 1 keys \(company_id, known_at\)"):
        checked(connection, company=[company(), company(region="South")])


def test_two_versions_of_a_company_at_two_times_are_welcome(connection):
    found = checked(connection, company=[company(), company(known_at=NOW)])
    assert found["company"].quarantined == 0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"notice_id": None}, "notice_id is missing"),
        ({"notice_id": " "}, "notice_id is missing"),
        ({"published_at": None}, "published_at is missing"),
        ({"published_at": datetime(1970, 1, 1, tzinfo=UTC)}, "published_at is before 1990-01-01"),
        ({"opened_at": datetime(2099, 1, 1, tzinfo=UTC)}, "opened_at is more than 730 days ahead"),
        ({"closes_at": datetime(2023, 1, 1, tzinfo=UTC)}, "closes_at is before published_at"),
        ({"opened_at": datetime(2023, 1, 1, tzinfo=UTC)}, "opened_at is before published_at"),
        ({"value": -1.0}, "value is negative"),
        ({"value": float("nan")}, "value is not a finite number"),
        ({"attributes": ["a=1", None]}, "attributes holds a NULL"),
        ({"value": -1.0, "fee": -2.0}, "value is negative; fee is negative"),
    ],
)
def test_a_bad_notice_is_quarantined_with_its_reasons(connection, changes, expected):
    found = checked(connection, notice=[notice(0), notice(1), notice(2) | changes])
    assert found["notice"].quarantined == 1
    assert reason(connection, "notice", "reason IS NOT NULL") == expected
    assert found["notice"].reasons == dict.fromkeys(expected.split("; "), 1)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"company_id": None}, "company_id is missing"),
        ({"known_at": None}, "known_at is missing"),
        ({"event_at": NOW}, "known_at is before event_at"),
        ({"notice_id": "nowhere"}, "no notice has this notice_id"),
        ({"amount": -5.0}, "amount is negative"),
        (
            {"event_at": datetime(2023, 1, 1, tzinfo=UTC), "known_at": datetime(2023, 1, 1, tzinfo=UTC)},
            "known_at is before the notice's published_at",
        ),
    ],
)
def test_a_bad_bid_is_quarantined_with_its_reason(connection, changes, expected):
    checked(connection, bid=[bid(by=0), bid(by=1) | changes])
    assert reason(connection, "bid", "reason IS NOT NULL") == expected


PUBLISHED = notice()["published_at"]
FIRST, LAST = datetime(1990, 1, 1, tzinfo=UTC), NOW + RULES.max_future_days * DAY


@pytest.mark.parametrize(
    "tables",
    [
        {"notice": [notice(closes_at=PUBLISHED, opened_at=PUBLISHED, value=0.0)]},
        {"bid": [bid(event_at=PUBLISHED, known_at=PUBLISHED, amount=0.0)]},
        {"notice": [notice(), notice(1, published_at=FIRST), notice(2, closes_at=LAST, opened_at=LAST)]},
    ],
    ids=["closed with its publication", "public with its notice", "the first and the last moment"],
)
def test_what_stands_on_the_very_edge_of_a_rule_is_right(connection, tables):
    found = checked(connection, **tables)
    assert {name: table.reasons for name, table in found.items()} == {"notice": {}, "company": {}, "bid": {}}


def test_a_bid_on_a_quarantined_notice_goes_with_it(connection):
    found = checked(connection, notice=[notice(0), notice(1, value=-1.0)], bid=[bid(0), bid(1)])
    assert found["bid"].reasons == {"its notice is quarantined": 1}


def test_bids_of_companies_without_a_record_are_kept_and_counted(connection):
    companies = [company(), company(company_id=None)]  # one whose key is missing stands for nobody
    found = checked(connection, company=companies, bid=[bid(by=0), bid(by=7), bid(by=8)])
    assert found["bid"].quarantined == 0
    assert found["bid"].warnings == ["bid: 2 bids by 2 companies that are not in the company table (kept)"]


def test_an_empty_title_is_kept_as_null_and_counted(connection):
    found = checked(connection, notice=[notice(0), notice(1, title="  "), notice(2, title=None)])
    assert found["notice"].quarantined == 0
    assert found["notice"].warnings == ["notice: title is empty in 2 of 3 rows"]
    assert connection.execute("SELECT count(title) FROM checked_notice").fetchall() == [(1,)]


def test_of_what_is_no_character_for_people_a_text_has_a_space(connection):
    """PostgreSQL would refuse all lists for a NUL in one title; an ESC is an order to the terminal that shows it."""
    titles = ["road\0works", "\x1b[31mred\x07", "two\r\nlines\x85", "\t", "도로 포장", "gnp\u202eexe\u2028!\u2066"]
    checked(connection, notice=[notice(number, title=title) for number, title in enumerate(titles)])
    kept = connection.sql("SELECT title FROM checked_notice ORDER BY notice_id").fetchall()
    assert [title for (title,) in kept] == ["road works", "[31mred", "two lines", None, "도로 포장", "gnp exe !"]


@pytest.mark.parametrize("odd", ["\t", "\x1b]0;title\x07", "\n", "\0", "\u202e", "\u2028"])
def test_an_id_with_what_is_no_character_for_people_is_quarantined_and_not_made_another_one(connection, odd):
    """An id is printed, by itself or in a hint, and stands in files of others; cleaned, two might become one."""
    odd_id = f"7{odd}1"
    found = checked(
        connection,
        notice=[notice(), notice(0, notice_id=odd_id), notice(1, notice_id="7 1")],
        company=[company(), company(company_id=odd_id)],
        bid=[bid(), bid(0, company_id=odd_id), bid(0, notice_id=odd_id, company_id="7 1")],
    )
    why = "{} holds a control character"
    assert found["notice"].reasons == {why.format("notice_id"): 1}
    assert found["company"].reasons == {why.format("company_id"): 1}
    assert found["bid"].reasons == {
        why.format("company_id"): 1,
        why.format("notice_id"): 1,
        "its notice is quarantined": 1,
    }


def test_a_column_without_any_value_is_named_in_a_warning(connection):
    found = checked(connection, company=[company(region=None, employees=None)])
    assert found["company"].warnings == ["company: no row has a value of region, employees"]


SEVERAL = "notice: the values are in UAH, but in USD, EUR in 3 of 10 rows: sizes are compared as plain numbers"


@pytest.mark.parametrize(
    ("currencies", "warnings"),
    [
        (["UAH"] * 7 + ["EUR", "USD", "USD"], [SEVERAL]),
        (["UAH"] * 150 + ["EUR"], []),
        (["UAH", None], []),
        ([None], []),
    ],
)
def test_values_in_several_currencies_are_noticed_but_not_a_stray_one(connection, currencies, warnings):
    rows = [notice(number, currency=currency) for number, currency in enumerate(currencies)]
    found = checked(connection, notice=[*rows, notice(999, currency="USD", value=None)])
    assert [warning for warning in found["notice"].warnings if "currency" not in warning] == warnings


def test_limits_in_another_list_of_codes_than_the_companies_are_noticed(connection):
    rows = [notice(region_limit=["North"], licence_limit=["3562"])]
    found = checked(connection, notice=rows, company=[company(licences=["goods"])])
    assert found["notice"].warnings == [
        "notice: no company meets any of the 1 values of licence_limit: another list of codes?"
    ]


FILLED_LATER = (
    "notice: only notices with a bid have a value of bidders, winner: if it is filled in after the opening, no feature "
    "may read it (docs/features.md)"
)


@pytest.mark.parametrize(
    ("open_notices", "opened", "still_open", "warnings"),
    [
        (20, {"winner": "c0", "bidders": 3}, {"winner": None, "bidders": 0}, [FILLED_LATER]),
        (20, {"winner": "c0", "bidders": Decimal(3)}, {"winner": None, "bidders": Decimal(0)}, [FILLED_LATER]),
        (20, {"winner": "c0", "bidders": 3}, {"winner": "c0", "bidders": 1}, []),
        (19, {"winner": "c0", "bidders": 3}, {"winner": None, "bidders": 0}, []),
        (20, {"withdrawn_at": NOW}, {"withdrawn_at": None}, []),
    ],
    ids=[
        "filled in later",
        "of another kind of number",
        "there from the first",
        "too few to tell",
        "a time that is no feature",
    ],
)
def test_a_column_that_says_nothing_before_a_bid_is_suspected_of_the_future(
    connection, open_notices, opened, still_open, warnings
):
    rows = [notice(number, **(opened if number < 5 else still_open)) for number in range(5 + open_notices)]
    found = checked(connection, notice=rows, bid=[bid(number) for number in range(5)])
    assert found["notice"].warnings == warnings


@pytest.mark.parametrize(
    ("days", "hour", "zone", "suspected"),
    [
        (20, 15, "Asia/Seoul", True),
        (19, 15, "Asia/Seoul", False),
        (20, 15, "UTC", False),
        (20, 0, "UTC", True),
    ],
)
def test_openings_that_are_days_and_no_moments_are_suspected_of_being_too_early(
    connection, days, hour, zone, suspected
):
    connection.execute("SET VARIABLE zone = ?", [zone])
    opened = [datetime(2024, 2, 1, hour, tzinfo=UTC) + day * DAY for day in range(days)]
    bids = [bid(0, by, event_at=moment, known_at=moment) for by, moment in enumerate(opened)]
    found = checked(connection, company=[company(by) for by in range(days)], bid=bids)
    assert [warning for warning in found["bid"].warnings if "midnight" in warning] == found["bid"].warnings
    assert len(found["bid"].warnings) == suspected


@pytest.mark.parametrize(
    ("zone", "read", "suspected"),
    [
        ("Asia/Seoul", "Asia/Seoul", 0),
        ("Asia/Seoul", "UTC", 1),
        ("Asia/Kolkata", "UTC", 1),
        ("America/New_York", "America/New_York", 0),
        ("UTC", "UTC", 0),
    ],
)
def test_offices_that_publish_and_open_bids_at_night_are_suspected_of_times_in_utc(connection, zone, read, suspected):
    """From nine to six on their own clock; what a source's clock shows is `read` in the zone that is configured."""
    connection.execute("SET VARIABLE zone = ?", [zone])
    there, hours = ZoneInfo(zone), [9 + minute / 60 for minute in range(0, 540, 10)]

    def told(day: int, hour: float) -> datetime:
        moment = datetime(2024, 2, 1, tzinfo=there) + day * DAY + hour * HOUR
        return moment.astimezone(ZoneInfo(read)).replace(tzinfo=there)

    notices = [
        notice(number, published_at=told(0, hour), closes_at=None, opened_at=None) for number, hour in enumerate(hours)
    ]
    opened = [told(9, hour) for hour in hours]
    bids = [bid(of, 0, event_at=moment, known_at=moment) for of, moment in enumerate(opened)]
    found = checked(connection, notice=notices, bid=bids)
    assert len([warning for warning in found["bid"].warnings if "between midnight and six" in warning]) == suspected


@pytest.mark.parametrize(("zone", "suspected"), [("UTC", 0), ("Europe/London", 0), ("Europe/Berlin", 1)])
def test_asias_offices_work_at_night_by_a_clock_that_shows_utc_which_is_no_mistake_of_a_source_in_utc(
    connection, zone, suspected
):
    connection.execute("SET VARIABLE zone = ?", [zone])
    seoul = ZoneInfo("Asia/Seoul")
    moments = [datetime(2024, 1, 2, 9, 10 * number % 60, tzinfo=seoul) + number * DAY for number in range(30)]
    notices = [
        notice(number, published_at=moment, closes_at=None, opened_at=None) for number, moment in enumerate(moments)
    ]
    opened = [moment + HOUR for moment in moments]
    bids = [bid(of, 0, event_at=moment, known_at=moment) for of, moment in enumerate(opened)]
    found = checked(connection, notice=notices, bid=bids)
    assert len([warning for warning in found["bid"].warnings if "between midnight and six" in warning]) == suspected


def test_further_columns_come_along_as_they_are(connection):
    checked(connection, notice=[notice(vector=[0.5, 1.0], floor_area=3)])
    assert connection.execute("SELECT vector, floor_area FROM checked_notice").fetchall() == [([0.5, 1.0], 3)]


@pytest.mark.parametrize("stands_for_none", ["9999-12-31 23:59:59", "infinity", "0001-01-01", "-infinity"])
@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Asia/Seoul"])
def test_a_time_that_stands_for_none_is_missing_in_every_zone(connection, stands_for_none, zone):
    """Feast's readers fail on what is before 1678, after 2261 or, west of Greenwich, in the year 10000."""
    give(connection, company=[company()], bid=[bid()], notice=[notice()])
    moment = f"TIMESTAMP '{stands_for_none}' AT TIME ZONE '{zone}'"
    columns = f"{moment} AS asked_until, DATE '{stands_for_none}' AS day, {moment} AS"
    for table, column in (("company", "founded_at"), ("notice", "withdrawn_at")):
        connection.execute(f"CREATE OR REPLACE TABLE given_{table} AS SELECT *, {columns} {column} FROM given_{table}")
    found = check(connection, RULES, NOW)
    assert [table.quarantined for table in found.values()] == [0, 0, 0]
    assert connection.execute("SELECT founded_at FROM checked_company").fetchall() == [(None,)]
    assert connection.execute("SELECT withdrawn_at, asked_until, day FROM checked_notice").fetchall() == [(None,) * 3]


def test_a_time_that_stands_for_none_where_one_is_needed_is_quarantined_as_it_is(connection):
    never = datetime(9999, 12, 31, tzinfo=UTC)
    checked(connection, bid=[bid(by=0), bid(by=1, event_at=never, known_at=never)])
    assert reason(connection, "bid", "company_id = 'c1'").startswith("event_at is more than 730 days ahead; known_at")
    assert connection.execute("SELECT known_at FROM checked_bid WHERE company_id = 'c1'").fetchall() == [(never,)]


def test_the_first_and_the_last_time_that_stand_for_themselves_are_kept(connection):
    edges = [datetime(1800, 1, 1, tzinfo=UTC), datetime(2199, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)]
    checked(connection, company=[company(number, founded_at=edge) for number, edge in enumerate(edges)])
    assert [
        edge for (edge,) in connection.sql("SELECT founded_at FROM checked_company ORDER BY company_id").fetchall()
    ] == edges


@pytest.mark.parametrize("name", ["ntceinsttofclnm", "ceonm", "telno", "buyer_email"])
def test_names_and_numbers_of_persons_never_enter(connection, name):
    with pytest.raises(ContractError, match=f"notice: {name} holds names or numbers of persons"):
        checked(connection, notice=[notice(**{name: "somebody"})])


TIMES = st.one_of(st.none(), st.integers(-20_000, 5_000).map(lambda days: NOW + days * DAY))
ANY_NOTICE = st.fixed_dictionaries(
    {
        "published_at": TIMES,
        "closes_at": TIMES,
        "value": st.sampled_from([None, -1.0, 0.0, 5.0]),
        "anonymous": st.booleans(),
    }
)
ANY_BID = st.fixed_dictionaries(
    {"of": st.integers(0, 6), "known_at": TIMES, "amount": st.sampled_from([None, -1.0, 2.0])}
)


def good_notice(row: Mapping[str, Any]) -> bool:
    """The contract in plain Python."""
    first, last = datetime(1990, 1, 1, tzinfo=UTC), NOW + RULES.max_future_days * DAY
    times = [time for time in (row["published_at"], row["closes_at"]) if time]
    return bool(
        row["notice_id"]
        and row["published_at"]
        and all(first <= time <= last for time in times)
        and not (row["closes_at"] and row["closes_at"] < row["published_at"])
        and (row["value"] is None or row["value"] >= 0)
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(ANY_NOTICE, min_size=1, max_size=6), st.lists(ANY_BID, min_size=1, max_size=6))
def test_every_row_is_kept_or_quarantined_and_none_is_lost(notices, bids):
    notices = [
        {"notice_id": None if row.pop("anonymous") else f"n{number}", **row}
        for number, row in enumerate(map(dict, notices))
    ]
    bids = [
        {"notice_id": f"n{row['of']}", "company_id": f"c{number}", "event_at": row["known_at"], **row}
        for number, row in enumerate(bids)
    ]
    schema = {
        "notice": [("notice_id", "string"), ("published_at", "time"), ("closes_at", "time"), ("value", "double")],
        "bid": [
            ("notice_id", "string"),
            ("company_id", "string"),
            ("event_at", "time"),
            ("known_at", "time"),
            ("amount", "double"),
        ],
    }
    kinds = {"string": pyarrow.string(), "double": pyarrow.float64(), "time": pyarrow.timestamp("us", "UTC")}
    tables = {
        name: pyarrow.Table.from_pylist(rows, pyarrow.schema([(column, kinds[kind]) for column, kind in schema[name]]))
        for name, rows in (("notice", notices), ("bid", bids))
    }
    good = {row["notice_id"]: row for row in notices if good_notice(row)}
    last = NOW + RULES.max_future_days * DAY
    good_bids = [
        row
        for row in bids
        if row["notice_id"] in good
        and row["known_at"]
        and good[row["notice_id"]]["published_at"] <= row["known_at"] <= last
        and (row["amount"] is None or row["amount"] >= 0)
    ]
    with duckdb.connect() as connection:
        found = checked(connection, **tables)
        kept = {
            name: connection.execute(f"SELECT count(*) FROM checked_{name} WHERE reason IS NULL").fetchall()[0][0]
            for name in tables
        }
    for name, rows, expected in (("notice", notices, good), ("bid", bids, good_bids)):
        assert found[name].given == len(rows)
        assert kept[name] + found[name].quarantined == len(rows)
        assert kept[name] == len(expected)


def test_a_part_of_a_source_is_checked_with_the_notices_and_companies_that_the_lake_holds(home):
    write_lake(home, notice=[notice(0), notice(1)], company=[company(0)])
    with duckdb.connect() as connection:
        open_lake(connection, home / "lake")
        bids = [bid(0), bid(1), bid(2), bid(0, 7, known_at=notice(0)["published_at"] - DAY, event_at=None)]
        give(connection, notice=arrow([notice(1, value=-1.0)]), company=arrow([company(0)]).slice(0, 0), bid=bids)
        found = check(connection, Contract(), NOW, held=True, since=NOW)
        assert found["company"].given == 0
        reasons = dict(connection.execute("SELECT notice_id || company_id, reason FROM checked_bid").fetchall())
    assert reasons == {
        "n0c0": None,
        "n1c0": None,  # its change is quarantined, but the notice is not
        "n2c0": "no notice has this notice_id",
        "n0c7": "event_at is missing; known_at is before the notice's published_at",
    }
    assert found["bid"].warnings == ["bid: 1 bids by 1 companies that are not in the company table (kept)"]


@pytest.mark.parametrize(("table", "name"), [("notice", "Known_At"), ("bid", "part"), ("company", "reason")])
def test_a_column_named_like_one_of_the_ingest_is_refused(connection, table, name):
    row = {"notice": notice, "company": company, "bid": bid}[table](**{name: "x"})
    with pytest.raises(ContractError, match=f"{table}: a column may not be called {name.lower()}"):
        checked(connection, **{table: [row]})
