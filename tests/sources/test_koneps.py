import csv
import re
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from bidrec.config import Config, Contract, Source
from bidrec.contract import TABLES
from bidrec.errors import ContractError, InputMissing
from bidrec.lake.checks import refuse_columns
from bidrec.lake.ingest import ingest
from bidrec.sources import load_definition
from tests.sources.koneps_tables import Row, raw_bid, raw_company, raw_notice


def write_csv(file: Path, rows: list[Row], encoding: str = "utf-8") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding=encoding, newline="") as out:
        writer = csv.DictWriter(out, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_dump(folder: Path, notices: list[Row], companies: list[Row], bids: list[Row]) -> None:
    for name, rows in (("notice", notices), ("company", companies), ("bid", bids)):
        write_csv(folder / f"{name}.csv", rows)


def run(home: Path, folder: Path, max_bad_share: float = 0.01) -> dict:
    source = Source(name="koneps", path=str(folder), url="")
    return ingest(Config(home=str(home), source=source, contract=Contract(max_bad_share=max_bad_share)))


def one(home: Path, table: str, columns: str, where: str = "true") -> tuple:
    rows = duckdb.sql(f"SELECT {columns} FROM '{home}/lake/{table}/*.parquet' WHERE {where}").fetchall()
    assert len(rows) == 1
    return rows[0]


def seoul(hour: int, day: int, minute: int = 0) -> datetime:
    """A Korean hour of January 2024 (from 9 on) in UTC."""
    return datetime(2024, 1, day, hour - 9, minute, tzinfo=UTC)


def test_a_notice_is_read_in_korean_time_with_its_limits(tmp_path):
    write_dump(tmp_path / "dump", [raw_notice()], [raw_company()], [raw_bid()])
    manifest = run(tmp_path, tmp_path / "dump")
    assert manifest["tables"]["notice"]["range"] == {"published_at": ["2024-01-02 01:05:00+00"] * 2}
    assert one(tmp_path, "notice", "notice_id, published_at, closes_at, opened_at, reissue, value, currency") == (
        "20240100001-000", seoul(10, 2, 5), seoul(10, 10), seoul(11, 10), 0, 1_000_000.0, "KRW",
    )  # fmt: skip
    assert one(tmp_path, "notice", "title, parent, unit_name, region, attributes, region_limit, licence_limit") == (
        "도로, 포장 공사", "경기도", "경기도 수원시 팔달구", "경기도",
        ["intrbidyn=N"], ["경기도", "서울특별시"], ["0002", "0003"],
    )  # fmt: skip


def test_the_whole_country_is_no_region_limit(tmp_path):
    write_dump(tmp_path / "dump", [raw_notice(prtcptpsblrgnnm="전국")], [raw_company()], [raw_bid()])
    run(tmp_path, tmp_path / "dump")
    assert one(tmp_path, "notice", "region_limit") == ([],)


def test_a_company_is_known_from_its_last_change_on(tmp_path):
    companies = [raw_company(1), raw_company(2, chgdt="2024-01-05 12:00:00")]
    write_dump(tmp_path / "dump", [raw_notice()], companies, [raw_bid()])
    run(tmp_path, tmp_path / "dump")
    facts = "known_at, name, region, region_code, employees, attributes, founded_at"
    assert one(tmp_path, "company", facts, "company_id = '0123456701'") == (
        datetime(2015, 3, 1, tzinfo=UTC), "가나건설", "경기도", "41111",
        12.0, ["corpbsnsdivcd=1", "corpbsnsdivcd=2"], datetime(1987, 5, 31, 14, tzinfo=UTC),
    )  # fmt: skip
    assert one(tmp_path, "company", "known_at", "company_id = '0123456702'") == (seoul(12, 5),)


def test_licences_are_in_the_codes_of_the_licence_limit_or_not_known(tmp_path):
    for columns, licences in (({"indstrytycd": "0002, 0003"}, ["0002", "0003"]), ({}, None)):
        home = tmp_path / str(len(columns))
        write_dump(home / "dump", [raw_notice()], [raw_company(**columns)], [raw_bid()])
        manifest = run(home, home / "dump")
        assert one(home, "company", "licences") == (licences,)
        assert not any("licence_limit" in warning for warning in manifest["tables"]["notice"]["warnings"])


def test_a_bid_is_known_at_the_opening_and_not_when_it_was_submitted(tmp_path):
    bids = [raw_bid(by=1), raw_bid(by=2, sucsfyn="N", opengrank="", dqlfctnrsn="서류 미비")]
    write_dump(tmp_path / "dump", [raw_notice()], [raw_company()], bids)
    run(tmp_path, tmp_path / "dump")
    facts = "event_at, known_at, amount, rank, won, valid"
    assert one(tmp_path, "bid", facts, "company_id = '0123456701'") == (
        seoul(17, 9, 30), seoul(11, 10), 880_000.0, 1, True, True,
    )  # fmt: skip
    assert one(tmp_path, "bid", "rank, won, valid", "company_id = '0123456702'") == (None, False, False)


def test_a_re_notice_is_a_notice_of_its_own_with_its_own_bids(tmp_path):
    again = raw_notice(
        1, "001", bidntcedt="2024-01-12 09:00:00", rgstdt="2024-01-12 09:00:00", bidclsedt="2024-01-20 10:00:00",
        opengdt="2024-01-20 11:00:00",
    )  # fmt: skip
    bids = [raw_bid(), raw_bid(1, "001", bidprcdate="2024-01-19")]
    write_dump(tmp_path / "dump", [raw_notice(), again], [raw_company()], bids)
    manifest = run(tmp_path, tmp_path / "dump")
    assert manifest["tables"]["notice"]["rows"] == 2
    assert one(tmp_path, "notice", "published_at, reissue", "notice_id = '20240100001-001'") == (seoul(9, 12), 1)
    assert one(tmp_path, "bid", "known_at", "notice_id = '20240100001-000'") == (seoul(11, 10),)
    assert one(tmp_path, "bid", "known_at", "notice_id = '20240100001-001'") == (seoul(11, 20),)


def test_a_late_opening_and_a_second_round_put_off_when_a_bid_is_known(tmp_path):
    late = raw_notice(1) | {"opengdate": "2024-01-11", "opengtm": "14:00:00"}
    second = raw_notice(2, rbidopengdt="2024-01-15 11:00:00") | {"opengdate": "", "opengtm": ""}
    at_the_opening = raw_bid(2, by=1, bidprcdate="2024-01-10", bidprctm="11:00:00")
    bids = [raw_bid(1), at_the_opening, raw_bid(2, by=2, bidprcdate="2024-01-12")]
    write_dump(tmp_path / "dump", [late, second], [raw_company()], bids)
    run(tmp_path, tmp_path / "dump")
    assert one(tmp_path, "bid", "known_at", "notice_id = '20240100001-000'") == (seoul(14, 11),)
    first_round, second_round = (f"notice_id = '20240100002-000' AND company_id = '012345670{by}'" for by in (1, 2))
    assert one(tmp_path, "bid", "known_at", first_round) == (seoul(11, 10),)
    assert one(tmp_path, "bid", "known_at", second_round) == (seoul(11, 15),)


def test_what_has_no_time_of_its_own_is_dated_by_what_follows_it(tmp_path):
    """A bid is submitted by its opening at the latest; what was collected had been opened, or registered, by then."""
    notices = [raw_notice(1), raw_notice(2, opengdt="")]
    companies = [raw_company(1, collected_at="2024-01-11 12:00:00") | {"rgstdt": ""}]
    bids = [raw_bid(1, bidprcdate="", bidprctm=""), raw_bid(2, collected_at="2024-01-30 12:00:00")]
    write_dump(tmp_path / "dump", notices, companies, bids)
    run(tmp_path, tmp_path / "dump")
    first, second = (f"notice_id = '2024010000{number}-000'" for number in (1, 2))
    assert one(tmp_path, "bid", "event_at, known_at", first) == (seoul(11, 10), seoul(11, 10))
    assert one(tmp_path, "bid", "event_at, known_at", second) == (seoul(17, 9, 30), seoul(12, 30))
    assert one(tmp_path, "company", "known_at") == (seoul(12, 11),)


def test_a_cancellation_withdraws_what_came_before_it_and_of_several_the_first_counts(tmp_path):
    kinds = ["일반", "취소공고", "일반", "취소공고"]
    notices = [
        raw_notice(1, f"00{at}", ntcekindnm=kind, bidntcedt=f"2024-01-0{at + 2} 10:00:00", rgstdt="2024-01-02 10:00:00")
        for at, kind in enumerate(kinds)
    ]
    write_dump(tmp_path / "dump", notices, [raw_company()], [raw_bid()])
    run(tmp_path, tmp_path / "dump")
    withdrawn = duckdb.sql(
        f"SELECT reissue, withdrawn_at FROM '{tmp_path}/lake/notice/*.parquet' ORDER BY 1"
    ).fetchall()
    assert withdrawn == [(0, seoul(10, 3)), (1, seoul(10, 3)), (2, seoul(10, 5)), (3, seoul(10, 5))]


def test_an_estimate_of_zero_is_none_and_the_budget_and_the_other_list_of_licences_stand_in(tmp_path):
    bare = {"presmptprce": "0", "lcnslmtnm": "", "permsnindstrytylist": "[조경공사업/0006]"}
    notices = [raw_notice(1, **bare), raw_notice(2, **bare | {"bdgtamt": "0"}), raw_notice(3, **bare | raw_notice(3))]
    write_dump(tmp_path / "dump", notices, [raw_company()], [raw_bid()])
    run(tmp_path, tmp_path / "dump")
    stated = duckdb.sql(f"SELECT value, licence_limit FROM '{tmp_path}/lake/notice/*.parquet' ORDER BY notice_id")
    assert stated.fetchall() == [(1_100_000.0, ["0006"]), (None, ["0006"]), (1_000_000.0, ["0002", "0003"])]


def test_a_bid_submitted_after_its_opening_is_quarantined(tmp_path):
    bids = [raw_bid(by=1), raw_bid(by=2, bidprcdate="2024-01-12")]
    write_dump(tmp_path / "dump", [raw_notice()], [raw_company()], bids)
    manifest = run(tmp_path, tmp_path / "dump", max_bad_share=0.5)
    assert manifest["tables"]["bid"]["reasons"] == {"known_at is before event_at": 1}


def test_files_of_two_encodings_give_one_table(tmp_path):
    dump = tmp_path / "dump"
    write_csv(dump / "notice" / "2024-01.csv", [raw_notice(1)], "cp949")
    write_csv(dump / "notice" / "2024-02.csv", [raw_notice(2)], "utf-8-sig")
    write_csv(dump / "company.csv", [raw_company()], "cp949")
    write_csv(dump / "bid.csv", [raw_bid()])
    run(tmp_path, dump)
    titles = duckdb.sql(f"SELECT DISTINCT title FROM '{tmp_path}/lake/notice/*.parquet'").fetchall()
    assert titles == [("도로, 포장 공사",)]


def test_no_name_or_number_of_a_person_is_anywhere_in_the_lake(tmp_path):
    write_dump(tmp_path / "dump", [raw_notice()], [raw_company()], [raw_bid()])
    run(tmp_path, tmp_path / "dump")
    everything = "".join(
        str(duckdb.sql(f"FROM '{tmp_path}/lake/{table}/*.parquet'").fetchall())
        for table in ("notice", "company", "bid")
    )
    assert "가나건설" in everything
    assert not any(person in everything for person in ("김공무", "홍길동", "02-123-4567"))


PERSONAL_COLUMNS = (
    *("ntceinsttofclnm", "ntceinsttofcltelno", "ntceinsttofclemailadrs", "dminsttofclemailadrs"),
    *("fnlsucsfcorpceonm", "fnlsucsfcorpofclnm", "fnlsucsfcorpcontacttel", "telno", "faxno", "ceonm"),
)
"""All columns of the three tables with names, telephone numbers or addresses of officials and representatives."""


def test_the_source_reads_no_column_of_persons_and_no_other_source_may_bring_one():
    read = {column.lower() for raw in load_definition("koneps").raw for column in raw.all_columns}
    assert not read & set(PERSONAL_COLUMNS)
    for column in PERSONAL_COLUMNS:
        for table in TABLES.values():
            with pytest.raises(ContractError, match=f"{column} holds names or numbers of persons"):
                refuse_columns(table, dict.fromkeys((*table.needed, column), "VARCHAR"))


def test_a_missing_table_is_a_missing_input(tmp_path):
    write_csv(tmp_path / "dump" / "notice.csv", [raw_notice()])
    with pytest.raises(InputMissing, match=r"no company\.csv"):
        run(tmp_path, tmp_path / "dump")


@pytest.mark.parametrize("content", ["", ",".join(raw_bid()) + "\n"])
def test_a_dump_without_rows_is_a_missing_input(tmp_path, content):
    write_dump(tmp_path / "dump", [raw_notice()], [raw_company()], [raw_bid()])
    (tmp_path / "dump" / "bid.csv").write_text(content)
    with pytest.raises(InputMissing, match="bid"):
        run(tmp_path, tmp_path / "dump")


def test_a_date_that_is_none_is_counted_with_an_example(tmp_path):
    write_dump(
        tmp_path / "dump", [raw_notice(1), raw_notice(2, opengdt="2024-02-31 10:00:00")], [raw_company()], [raw_bid()]
    )
    with pytest.raises(ContractError, match=r"opengdt must be TIMESTAMP, but 1 of 2 rows are not .*2024-02-31"):
        run(tmp_path, tmp_path / "dump")


def test_a_broken_line_of_a_dump_is_refused_with_the_file(tmp_path):
    write_dump(tmp_path / "dump", [raw_notice()], [raw_company()], [raw_bid()])
    with (tmp_path / "dump" / "bid.csv").open("a", newline="") as out:
        out.write("1,2,3\r\n")
    with pytest.raises(ContractError, match=r"cannot read the table bid: .*Line: 3 \(.*bid\.csv\)"):
        run(tmp_path, tmp_path / "dump")


@pytest.mark.parametrize(
    "written",
    ["012-34-56701", "012－34–56701", "０１２３４５６７０１", "123456701", " 0123456701\u00a0\t", "\ufeff0123456701"],
)
def test_a_business_number_is_one_company_however_it_is_written(tmp_path, written):
    bids = [raw_bid(1), raw_bid(2, bidprccorpbizrno=written)]
    write_dump(tmp_path / "dump", [raw_notice(1), raw_notice(2)], [raw_company(bizno=written)], bids)
    manifest = run(tmp_path, tmp_path / "dump")
    assert one(tmp_path, "company", "company_id") == ("0123456701",)
    assert one(tmp_path, "bid", "DISTINCT company_id") == ("0123456701",)
    assert manifest["tables"]["bid"]["warnings"] == []


def test_a_company_number_that_is_none_of_korea_keeps_its_letters(tmp_path):
    foreign = raw_company(bizno="DE-8123")
    write_dump(tmp_path / "dump", [raw_notice()], [foreign], [raw_bid(bidprccorpbizrno="DE-8123")])
    run(tmp_path, tmp_path / "dump")
    assert one(tmp_path, "company", "company_id") == one(tmp_path, "bid", "company_id") == ("DE8123",)


def test_a_province_that_was_renamed_is_the_same_in_limits_and_records_and_a_town_stands_for_its_province(tmp_path):
    limits = raw_notice(prtcptpsblrgnnm="강원도, 강원특별자치도 춘천시,경기도 수원시")
    write_dump(tmp_path / "dump", [limits], [raw_company(rgnnm="강원도 춘천시")], [raw_bid()])
    run(tmp_path, tmp_path / "dump")
    assert sorted(one(tmp_path, "notice", "region_limit")[0]) == ["강원특별자치도", "경기도"]
    assert one(tmp_path, "company", "region") == ("강원특별자치도",)


def test_a_changed_notice_takes_the_place_of_its_earlier_order_and_a_re_notice_comes_after_it(tmp_path):
    changed = raw_notice(1, "001", ntcekindnm="변경공고", bidntcedt="2024-01-05 10:00:00", rgstdt="2024-01-05 10:00:00")
    again = raw_notice(
        1, "002", ntcekindnm="재공고", bidntcedt="2024-01-12 10:00:00", rgstdt="2024-01-12 10:00:00",
        bidclsedt="2024-01-20 10:00:00", opengdt="2024-01-20 11:00:00", chgdt="2024-01-13 10:00:00",
    )  # fmt: skip
    touched = {"chgdt": "2024-01-08 10:00:00"}  # of the change itself, long after it took the first one's place
    notices = [raw_notice() | {"ntcekindnm": "일반", "chgdt": ""}, changed | touched, again]
    write_dump(tmp_path / "dump", notices, [raw_company()], [raw_bid(1, "001")])
    run(tmp_path, tmp_path / "dump")
    withdrawn = duckdb.sql(f"SELECT reissue, withdrawn_at FROM '{tmp_path}/lake/notice/*.parquet' ORDER BY 1")
    assert withdrawn.fetchall() == [(0, seoul(10, 5)), (1, None), (2, None)]


def test_an_optional_column_that_goes_overnight_is_missed_every_night(tmp_path, capsys):
    def said_of(notice: Row) -> str:
        write_dump(tmp_path / "dump", [notice], [raw_company()], [raw_bid()])
        run(tmp_path, tmp_path / "dump")
        return str(capsys.readouterr().err)

    assert "are gone" not in said_of(raw_notice())
    for night in ("1", "2"):
        notice = raw_notice(bdgtamt=night)
        del notice["prtcptpsblrgnnm"]
        assert re.search("are gone.*columns=prtcptpsblrgnnm", said_of(notice))
    assert "are gone" not in said_of(raw_notice(bdgtamt="3"))
