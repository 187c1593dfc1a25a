import fcntl
import os
import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from pyarrow import parquet
from structlog.testing import capture_logs

from bidrec.config import Config, Contract, Source
from bidrec.contract import TABLES
from bidrec.errors import CannotWrite, ConfigurationError, ContractError, InputMissing, Interrupted
from bidrec.lake.ingest import ingest
from bidrec.lake.parts import newest_reading, part_file
from bidrec.storage.sealed import content_of, read_manifest
from tests.tables import DAY, NOW, bid, company, lake, notice, write_source

NOTICES = [notice(number) for number in range(20)]
COMPANIES = [company(number) for number in range(5)]
BIDS = [bid(of, by) for of in range(20) for by in range(5)]


def config_of(home: Path, source: Source, **contract: float) -> Config:
    return Config(home=str(home), memory_limit="500MB", source=source, contract=Contract(**contract))


def rows(home: Path, table: str) -> list[tuple]:
    return duckdb.sql(f"SELECT * FROM '{home}/lake/{table}/*.parquet'").fetchall()


def quarantined(home: Path, table: str) -> list[tuple]:
    return duckdb.sql(f"SELECT * FROM '{home}/quarantine/*/{table}.parquet'").fetchall()


def test_the_lake_holds_every_row_in_its_order_with_every_canonical_column(tmp_path):
    source = write_source(tmp_path / "source", notice=NOTICES[::-1], company=COMPANIES, bid=BIDS[::-1])
    manifest = ingest(config_of(tmp_path, source), now=NOW)

    assert {name: entry["rows"] for name, entry in manifest["tables"].items()} == {
        "notice": 20,
        "company": 5,
        "bid": 100,
    }
    assert [row[0] for row in rows(tmp_path, "notice")] == [row["notice_id"] for row in NOTICES]
    assert [row[:2] for row in rows(tmp_path, "bid")] == [
        (row["notice_id"], row["company_id"]) for row in sorted(BIDS, key=lambda r: (r["known_at"], r["company_id"]))
    ]
    for name, table in TABLES.items():
        columns = duckdb.sql(f"DESCRIBE FROM '{tmp_path}/lake/{name}/*.parquet'").fetchall()
        kinds = [
            (column.name, column.type.replace("TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE")) for column in table.columns
        ]
        own = [("known_at", "TIMESTAMP WITH TIME ZONE")] if name == "notice" else []
        assert [column[:2] for column in columns] == kinds + own
    assert manifest["tables"]["notice"]["range"]["published_at"] == ["2024-01-01 09:00:00+00", "2024-01-20 09:00:00+00"]
    assert manifest == read_manifest(tmp_path / "lake")


def test_the_same_rows_give_the_same_bytes_in_whatever_order_they_come(tmp_path):
    contents = []
    for attempt in range(3):
        shuffled = [random.Random(attempt).sample(table, len(table)) for table in (NOTICES, COMPANIES, BIDS)]
        home = tmp_path / str(attempt)
        source = write_source(home / "source", notice=shuffled[0], company=shuffled[1], bid=shuffled[2])
        contents.append(content_of(ingest(config_of(home, source), now=NOW)))
    assert len(set(contents)) == 1


def test_bad_rows_are_quarantined_with_their_reason_and_counted(tmp_path):
    bids = [*BIDS, bid(0, 9, amount=-1.0), bid(0, 10, notice_id="nowhere", amount=-1.0)]
    source = write_source(tmp_path / "source", notice=NOTICES, company=COMPANIES, bid=bids)
    manifest = ingest(config_of(tmp_path, source, max_bad_share=0.05), now=NOW)

    assert manifest["tables"]["bid"]["reasons"] == {"amount is negative": 2, "no notice has this notice_id": 1}
    assert manifest["tables"]["bid"]["rows"] == len(BIDS)
    bad = duckdb.sql(f"SELECT company_id, reason FROM '{tmp_path}/quarantine/*/bid.parquet'").fetchall()
    assert sorted(bad) == [
        ("c10", "amount is negative; no notice has this notice_id"),
        ("c9", "amount is negative"),
    ]
    assert [file.name for file in tmp_path.glob("quarantine/*/*.parquet")] == ["bid.parquet"]


def test_too_many_bad_rows_stop_the_job_and_leave_the_old_lake(tmp_path):
    good = write_source(tmp_path / "good", notice=NOTICES, company=COMPANIES, bid=BIDS)
    before = ingest(config_of(tmp_path, good), now=NOW)
    late = [notice(number, closes_at=datetime(2023, 1, 1, tzinfo=UTC)) for number in range(3)] + NOTICES[3:]
    bad = write_source(tmp_path / "bad", notice=late, company=COMPANIES, bid=BIDS)

    with pytest.raises(
        ContractError,
        match=r"notice: 3 of 3 rows are bad, with those before 3 of 23, more than 1\.00%.*closes_at is be.*: 3.* n0",
    ):
        ingest(config_of(tmp_path, bad), now=NOW)
    assert read_manifest(tmp_path / "lake") == before
    assert len(quarantined(tmp_path, "notice")) == 3  # there to be looked at
    assert not [*tmp_path.glob(".ingest.*/")]


def test_no_good_row_at_all_stops_the_job_whatever_the_share(tmp_path):
    source = write_source(tmp_path / "source", notice=[notice(value=-1.0)], company=COMPANIES, bid=BIDS)
    with pytest.raises(ContractError, match="1 of 1 rows are bad"):
        ingest(config_of(tmp_path, source, max_bad_share=1.0), now=NOW)


def test_unchanged_files_are_not_read_again_unless_forced(tmp_path):
    source = write_source(tmp_path / "source", notice=NOTICES, company=COMPANIES, bid=BIDS)
    config = config_of(tmp_path, source)
    first = ingest(config, now=NOW)
    assert ingest(config, now=NOW) == first
    again = ingest(config, force=True, now=NOW)
    assert again["tables"] == first["tables"]
    assert [part["part"] for part in again["parts"]["bid"]] == [2]


def test_an_ingest_compares_with_no_lake_that_was_changed_since_it_was_written(tmp_path):
    source = write_source(tmp_path / "source", notice=NOTICES, company=COMPANIES, bid=BIDS[:-1])
    before = ingest(config_of(tmp_path, source), now=NOW)
    part = tmp_path / "lake" / part_file("bid", 1)
    changed = parquet.read_table(part)
    part.unlink()
    parquet.write_table(changed.slice(1), part)
    write_source(tmp_path / "source", notice=NOTICES, company=COMPANIES, bid=BIDS)
    with pytest.raises(ContractError, match=r"bid/000001\.parquet is damaged"):
        ingest(config_of(tmp_path, source), now=NOW + DAY)
    assert read_manifest(tmp_path / "lake") == before


def test_a_new_row_becomes_a_part_and_new_sql_a_new_lake(tmp_path):
    source = write_source(tmp_path / "source", notice=NOTICES, company=COMPANIES, bid=BIDS[:-1])
    ingest(config_of(tmp_path, source), now=NOW)
    write_source(tmp_path / "source", notice=NOTICES, company=COMPANIES, bid=BIDS)
    second = ingest(config_of(tmp_path, source), now=NOW + DAY)
    assert second["tables"]["bid"]["rows"] == 100
    assert {name: [part["part"] for part in parts] for name, parts in second["parts"].items()} == {
        "notice": [1],
        "company": [1],
        "bid": [1, 2],
    }
    (tmp_path / "source" / "bid.sql").write_text("SELECT * FROM raw_bid WHERE true;")
    third = ingest(config_of(tmp_path, source), now=NOW + 2 * DAY)
    assert third["tables"]["bid"]["rows"] == 100
    assert [[part["part"] for part in parts] for parts in third["parts"].values()] == [[3], [3], [3]]


def test_new_sql_takes_no_rows_from_the_lake_that_the_source_no_longer_gives_unless_forced(tmp_path):
    """A wrong configuration that is set back the next day has lost nothing."""
    source = write_source(tmp_path / "source", notice=NOTICES, company=COMPANIES, bid=BIDS)
    first = ingest(config_of(tmp_path, source), now=NOW)
    write_source(tmp_path / "source", notice=NOTICES[1:], company=COMPANIES, bid=BIDS[5:])
    right = (tmp_path / "source" / "bid.sql").read_text()
    (tmp_path / "source" / "bid.sql").write_text("SELECT * FROM raw_bid WHERE company_id <> 'c0';")
    with pytest.raises(ContractError, match="no longer gives 1 of notice, 24 of bid") as refused:
        ingest(config_of(tmp_path, source), now=NOW + DAY)
    assert "ingest --force" in refused.value.hint
    (tmp_path / "source" / "bid.sql").write_text(right)
    assert ingest(config_of(tmp_path, source), now=NOW + 2 * DAY)["parts"] == first["parts"]
    (tmp_path / "source" / "bid.sql").write_text("SELECT * FROM raw_bid WHERE company_id <> 'c0';")
    assert ingest(config_of(tmp_path, source), force=True, now=NOW + 3 * DAY)["tables"]["bid"]["rows"] == 76


def test_the_log_and_the_home_say_how_many_rows_the_source_gave_beside_those_that_came_of_them(tmp_path):
    """A source that lost half of its bids takes none from the lake: only these numbers tell of it."""
    source = write_source(tmp_path / "source", notice=NOTICES, company=COMPANIES, bid=BIDS)
    ingest(config_of(tmp_path, source), now=NOW)
    write_source(tmp_path / "source", notice=[*NOTICES, notice(30)], company=COMPANIES, bid=BIDS[::2])
    with capture_logs() as logs:
        ingest(config_of(tmp_path, source), now=NOW + DAY)
    (written,) = (line for line in logs if line["event"] == "lake written")
    assert (written["bid"], written["given"]["bid"]) == (100, 50)
    assert written["came"] == {"notice": 1, "company": 0, "bid": 0}
    write_source(tmp_path / "source", notice=[*NOTICES, notice(30)], company=COMPANIES, bid=BIDS[::4])
    for days in (2, 3):  # read, and then seen to be as it was
        manifest = ingest(config_of(tmp_path, source), now=NOW + days * DAY)
        assert newest_reading(tmp_path, manifest)["given"] == {"notice": 21, "company": 5, "bid": 25}


def test_a_clock_that_was_set_back_makes_no_reading_earlier_than_the_one_before(tmp_path):
    source = write_source(tmp_path / "source", notice=NOTICES, company=COMPANIES, bid=BIDS[:-1])
    ingest(config_of(tmp_path, source), now=NOW)
    write_source(tmp_path / "source", notice=NOTICES, company=COMPANIES, bid=BIDS)
    second = ingest(config_of(tmp_path, source), now=NOW - DAY)
    assert datetime.fromisoformat(second["read_at"]) > NOW
    late = lake(tmp_path, "lake_bid", "known_at", "WHERE part = 2")
    assert late == [(datetime.fromisoformat(second["read_at"]),)]


def test_files_left_alone_are_known_to_say_the_same_until_the_reading_that_saw_it(tmp_path):
    source = write_source(tmp_path / "source", notice=NOTICES, company=COMPANIES, bid=BIDS)
    config = config_of(tmp_path, source)
    first = ingest(config, now=NOW)
    assert ingest(config, now=NOW + 3 * DAY) == first
    between = notice(200, published_at=NOW + 2 * DAY, closes_at=None, opened_at=None)
    write_source(tmp_path / "source", notice=[*NOTICES, between], company=COMPANIES, bid=BIDS)
    ingest(config, now=NOW + 4 * DAY)
    assert lake(tmp_path, "lake_notice", "known_at", "WHERE part = 2") == [(NOW + 4 * DAY,)]


def test_other_rules_of_the_contract_have_unchanged_files_read_again(tmp_path):
    source = write_source(tmp_path / "source", notice=[*NOTICES, notice(300)], company=COMPANIES, bid=BIDS)
    first = ingest(config_of(tmp_path, source, max_future_days=10, max_bad_share=0.05), now=NOW)
    assert first["tables"]["notice"]["rows"] == 20
    second = ingest(config_of(tmp_path, source, max_bad_share=0.05), now=NOW)
    assert second["tables"]["notice"]["rows"] == 21


def test_without_a_source_the_input_is_missing(tmp_path):
    with pytest.raises(InputMissing, match="no source is configured"):
        ingest(config_of(tmp_path, Source(url="")))


def test_without_a_folder_or_a_database_the_input_is_missing(tmp_path):
    with pytest.raises(InputMissing, match="neither a folder nor a database"):
        ingest(config_of(tmp_path, Source(name="koneps", url="")))


def test_an_unknown_source_is_a_configuration_error_with_the_nearest_name(tmp_path):
    with pytest.raises(ConfigurationError, match="did you mean koneps"):
        ingest(config_of(tmp_path, Source(name="konep", path=str(tmp_path))))


def test_an_unknown_parameter_is_a_configuration_error_with_the_nearest_name(tmp_path):
    source = Source(name="gepnic", path=str(tmp_path), parameters={"regoin": "Odisha"})
    for table in ("notices", "companies", "bids"):
        (tmp_path / f"{table}.parquet").write_text("never read")
    with pytest.raises(ConfigurationError, match=r"no parameter regoin.*did you mean region"):
        ingest(config_of(tmp_path, source))


@pytest.mark.parametrize("sql", ["SELEC 1", "SELECT nothing FROM raw_bid", "SELECT * FROM raw_bids"])
def test_sql_that_does_not_stand_is_a_configuration_error_that_names_the_file(tmp_path, sql):
    source = write_source(tmp_path / "source", notice=NOTICES, company=COMPANIES, bid=BIDS)
    (tmp_path / "source" / "bid.sql").write_text(sql)
    with pytest.raises(ConfigurationError, match=r"bid\.sql"):
        ingest(config_of(tmp_path, source), now=NOW)


def test_a_row_that_the_sql_cannot_convert_breaks_the_contract(tmp_path):
    source = write_source(tmp_path / "source", notice=NOTICES, company=COMPANIES, bid=BIDS)
    (tmp_path / "source" / "bid.sql").write_text("SELECT * REPLACE (company_id::INTEGER AS company_id) FROM raw_bid")
    with pytest.raises(ContractError, match=r"bid\.sql: Conversion Error.*'c0'"):
        ingest(config_of(tmp_path, source), now=NOW)


def test_a_home_that_cannot_be_written_is_said(tmp_path):
    source = write_source(tmp_path / "source", notice=NOTICES, company=COMPANIES, bid=BIDS)
    (tmp_path / "home").write_text("a file, not a folder")
    with pytest.raises(CannotWrite, match="home"):
        ingest(config_of(tmp_path / "home", source), now=NOW)


def test_two_ingests_never_work_in_one_home(tmp_path):
    source = write_source(tmp_path / "source", notice=NOTICES, company=COMPANIES, bid=BIDS)
    with (tmp_path / ".ingest.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Interrupted, match="another ingest job is at work"):
            ingest(replace(config_of(tmp_path, source), wait_seconds=0), now=NOW)
    assert ingest(config_of(tmp_path, source), now=NOW)["tables"]["bid"]["rows"] == len(BIDS)


def test_what_a_killed_ingest_left_is_swept_away(tmp_path):
    source = write_source(tmp_path / "source", notice=NOTICES, company=COMPANIES, bid=BIDS)
    for left in (".ingest.a1b2c3.partial/spill", "lake/bid", "quarantine/.000001.a1b2c3.partial"):
        (tmp_path / left).mkdir(parents=True)
    (tmp_path / "lake" / part_file("bid", 7)).write_text("half a part")
    (tmp_path / ".ingest.lock").touch()
    ingest(config_of(tmp_path, source), now=NOW)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".ingest.lock", "lake", "quarantine", "source"]
    assert os.listdir(tmp_path / "lake" / "bid") == ["000001.parquet"]
    assert os.listdir(tmp_path / "quarantine") == ["000001"]


def test_a_job_that_fails_while_it_writes_leaves_the_old_lake(tmp_path, monkeypatch):
    source = write_source(tmp_path / "source", notice=NOTICES, company=COMPANIES, bid=BIDS)
    before = ingest(config_of(tmp_path, source), now=NOW)

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bidrec.lake.parts.write_json", fail)
    with pytest.raises(KeyboardInterrupt):
        ingest(config_of(tmp_path, source), force=True, now=NOW)
    assert read_manifest(tmp_path / "lake") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".ingest.lock", "lake", "quarantine", "source"]


def test_what_was_warned_of_at_the_ingest_before_is_not_warned_of_every_night(tmp_path):
    """A column that a source never fills is no news; it stands in the manifest all the same."""
    companies = [row | {"region": None} for row in COMPANIES]
    warned = []
    for night, bids in enumerate((BIDS[:50], BIDS[:60], [*BIDS[:60], bid(0, 7)])):
        source = write_source(tmp_path / "source", notice=NOTICES, company=companies, bid=bids)
        with capture_logs() as said:
            manifest = ingest(config_of(tmp_path, source), now=NOW + night * DAY)
        warned.append([line["event"] for line in said if line["log_level"] == "warning"])
        assert manifest["tables"]["company"]["warnings"] == ["company: no row has a value of region"]
    unknown = "bid: 1 bids by 1 companies that are not in the company table (kept)"
    assert warned == [["company: no row has a value of region"], [], [unknown]]


RESTATED = (
    "company: of most companies with a new version an earlier one has changed with it: a fact that knows what came "
    "after its known_at? (docs/features.md)"
)


@pytest.mark.parametrize(
    ("companies", "restated", "followed", "warnings"),
    [
        (10, {"employees": 9.0}, True, [RESTATED]),
        (10, {}, True, []),
        (9, {"employees": 9.0}, True, []),
        (10, {"employees": 9.0}, False, []),
    ],
    ids=["known too early", "as it was", "too few to tell", "a correction, and no new version"],
)
def test_versions_that_change_when_later_ones_come_are_suspected_of_the_future(
    tmp_path, companies, restated, followed, warnings
):
    first = [company(number) for number in range(companies)]
    later = [company(number, known_at=NOW + DAY / 2, employees=9.0) for number in range(companies)] if followed else []
    for night, versions in enumerate((first, [*(row | restated for row in first), *later])):
        source = write_source(tmp_path / "source", notice=NOTICES, company=versions, bid=BIDS)
        with capture_logs() as said:
            ingest(config_of(tmp_path, source), now=NOW + night * DAY)
    told = [line["event"] for line in said if line["log_level"] == "warning" and line["event"].startswith("company")]
    assert told == warnings
