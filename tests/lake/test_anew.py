"""A lake that begins anew because its source's SQL is another: what came late stays late."""

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.config import Config, Contract, Source
from bidrec.errors import ContractError
from bidrec.lake.ingest import ingest
from bidrec.storage.sealed import read_manifest
from tests.tables import DAY, NOW, Row, bid, company, lake, notice, write_source

KEYS = {"notice": "notice_id", "company": "company_id", "bid": "notice_id, company_id"}
TIMES = {"notice": "published_at", "company": "known_at", "bid": "known_at"}
Tables = dict[str, list[dict[str, Any]]]


def tables(notices: range, companies: range, **changes: Any) -> Tables:
    """All bid on all. The changes are of the bids."""
    return {
        "notice": [notice(number) for number in notices],
        "company": [company(number) for number in companies],
        "bid": [bid(of, by, **changes) for of in notices for by in companies],
    }


def read(home: Path, days: int, rows: Tables, *, rules: str = "", force: bool = False) -> None:
    """An ingest so many days later. `rules`: what makes the source's SQL another one."""
    source = write_source(home / "source", **rows)
    for table in KEYS:
        (home / "source" / f"{table}.sql").write_text(f"SELECT * FROM raw_{table} {rules}")
    ingest(config_of(home, source), force=force, now=NOW + days * DAY)


def config_of(home: Path, source: Source) -> Config:
    return Config(home=str(home), memory_limit="500MB", source=source, contract=Contract(max_bad_share=0.9))


def known(home: Path, table: str) -> dict[tuple[str, ...], datetime]:
    """Of each thing in the lake the time from which it is known: there is one row of it."""
    found = lake(home, f"lake_{table}", f"{KEYS[table]}, known_at")
    assert len(found) == len({row[:-1] for row in found})
    return {row[:-1]: row[-1] for row in found}


def test_what_came_late_is_known_from_the_reading_that_brought_it_however_often_a_lake_begins_anew(tmp_path):
    read(tmp_path, 0, tables(range(1, 6), range(1, 4)))
    read(tmp_path, 1, tables(range(6), range(4)))
    before = {table: known(tmp_path, table) for table in KEYS}
    for days, rules in ((2, "WHERE true"), (3, "WHERE 1 = 1")):
        read(tmp_path, days, tables(range(6), range(4)), rules=rules)
        manifest = read_manifest(tmp_path / "lake") or {}
        assert [part["part"] for part in manifest["parts"]["bid"]] == [days + 1]
        assert {table: known(tmp_path, table) for table in KEYS} == before
        late = {table: came["late"] for table, came in manifest["ingests"][-1]["came"].items()}
        assert late == {"notice": 1, "company": 1, "bid": 9}


def test_it_goes_on_after_ordinary_readings_and_ends_where_one_is_forced(tmp_path):
    read(tmp_path, 0, tables(range(5), range(3)))
    read(tmp_path, 1, tables(range(6), range(3)))
    read(tmp_path, 2, tables(range(6), range(3)), rules="WHERE true")
    read(tmp_path, 3, tables(range(7), range(3)), rules="WHERE true")
    read(tmp_path, 4, tables(range(7), range(3)))
    assert {day: at - NOW for (day,), at in known(tmp_path, "notice").items() if at >= NOW} == {
        "n5": DAY,
        "n6": 3 * DAY,
    }
    read(tmp_path, 5, tables(range(7), range(3)), force=True)
    assert max(known(tmp_path, "notice").values()) < NOW


def test_what_was_corrected_or_stated_otherwise_is_as_the_new_rules_state_it(tmp_path):
    """Only what came late has the time of a reading; a wrong zone's hours do not stay."""
    read(tmp_path, 0, tables(range(3), range(2)))
    read(tmp_path, 1, tables(range(3), range(2), amount=5.0))
    assert {at for _, _, at in lake(tmp_path, "lake_bid_now", "notice_id, company_id, known_at")} == {NOW + DAY}
    earlier = "REPLACE (known_at - INTERVAL 9 HOUR AS known_at, event_at - INTERVAL 9 HOUR AS event_at)"
    rows = tables(range(3), range(2), amount=5.0)
    source = write_source(tmp_path / "source", **rows)
    (tmp_path / "source" / "bid.sql").write_text(f"SELECT * {earlier} FROM raw_bid")
    ingest(config_of(tmp_path, source), now=NOW + 2 * DAY)
    wanted = {(row["notice_id"], row["company_id"]): row["known_at"] - DAY * 9 / 24 for row in rows["bid"]}
    assert known(tmp_path, "bid") == wanted


def test_a_company_that_came_late_with_several_versions_has_the_last_of_them_from_then_on(tmp_path):
    versions = [company(1, known_at=NOW - days * DAY, employees=float(days)) for days in (30, 20, 10)]
    later = company(1, known_at=NOW + 5 * DAY, employees=1.0)
    rows = tables(range(2), range(1))
    read(tmp_path, 0, rows)
    read(tmp_path, 1, rows | {"company": [*rows["company"], *versions]})
    read(tmp_path, 9, rows | {"company": [*rows["company"], *versions, later]}, rules="WHERE true")
    found = lake(tmp_path, "lake_company", "known_at, employees", "WHERE company_id = 'c1' ORDER BY 1")
    assert found == [(NOW + DAY, 10.0), (NOW + 5 * DAY, 1.0)]


def test_a_lake_that_would_lose_rows_is_refused_and_stays(tmp_path):
    read(tmp_path, 0, tables(range(5), range(3)))
    before = read_manifest(tmp_path / "lake")
    with pytest.raises(ContractError, match="no longer gives 1 of notice, 3 of bid"):
        read(tmp_path, 1, tables(range(4), range(3)), rules="WHERE true")
    assert read_manifest(tmp_path / "lake") == before


@settings(max_examples=8)
@given(st.data())
def test_nothing_is_known_before_a_reading_had_it(data: st.DataObject) -> None:
    """What is stated, and what came with which of three readings, is drawn; then the lake begins anew."""
    drawn = st.sampled_from([0, 0, 1, 2])
    came: dict[str, dict[str, int]] = {
        "notice": {f"n{number}": data.draw(drawn) for number in range(4)},
        "company": {f"c{number}": data.draw(drawn) for number in range(3)},
    }
    bids = [
        bid(of, by, known_at=NOW + data.draw(st.sampled_from([-40, -1, 0, 1, 2, 3])) * DAY / 2)
        for of in range(4)
        for by in range(3)
    ]
    whole = tables(range(4), range(3)) | {"bid": bids}

    def reading_of(table: str, row: Row) -> int:
        if table != "bid":
            return came[table][row[f"{table}_id"]]
        return max(came["notice"][row["notice_id"]], came["company"][row["company_id"]])

    with TemporaryDirectory() as folder:
        for number in range(3):
            there = {name: [row for row in rows if reading_of(name, row) <= number] for name, rows in whole.items()}
            if not all(there.values()):
                return  # a first reading without a good row of a table is refused
            read(Path(folder), number, there)
        read(Path(folder), 5, whole, rules="WHERE true")
        for table, rows in whole.items():
            found = known(Path(folder), table)
            for row in rows:
                number, stated = reading_of(table, row), row[TIMES[table]]
                is_late = number and stated <= NOW + (number - 1) * DAY
                key = tuple(row[column] for column in KEYS[table].split(", "))
                assert found[key] == (NOW + number * DAY if is_late else stated)
