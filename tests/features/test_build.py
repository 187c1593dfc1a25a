import math
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyarrow import parquet

from bidrec.config import Config
from bidrec.errors import ContractError, InputMissing, Interrupted
from bidrec.features import build
from bidrec.features.build import EVENT_TIMES, build_features
from bidrec.lake.parts import add_reading, part_file
from bidrec.storage.locks import one_job_at_a_time
from bidrec.storage.sealed import content_of, read_manifest
from bidrec.storage.sums import sha256
from tests import tables
from tests.features.lakes import add_part, read, write_lake


@pytest.fixture
def config(home):
    return Config(home=str(home))


def one_notice(home, **columns):
    write_lake(home, notice=[tables.notice(**columns)])
    build_features(Config(home=str(home)))
    return read(home, "notice")[0]


def test_a_notice_is_what_it_was_at_its_publication(home):
    published = datetime(2024, 2, 29, 23, tzinfo=UTC)
    row = one_notice(
        home,
        published_at=published,
        closes_at=published + timedelta(days=3, hours=12),
        value=1000.0,
        deposit=0.0,
        fee=None,
        duration_days=180.0,
        unit="PWD",
        place="  Kullu   Town ",
        category="Road",
        method="Open",
    )
    assert row["log_value"] == pytest.approx(math.log(1001))
    assert (row["log_deposit"], row["deposit_band"]) == (0.0, "zero")
    assert (row["log_fee"], row["fee_band"]) == (None, None)
    assert row["log_duration"] == pytest.approx(math.log(181))
    assert row["lead_days"] == 3.5
    assert (row["month"], row["weekday"]) == ("February", "Thursday")
    assert (row["place"], row["place_name"]) == ("kullu town", "Kullu Town")
    assert row["place_unit"] == "kullu town|PWD"
    assert row["unit_method"] == "PWD|Open"
    # log2(1000) = 9.97: the half-octave from 2^9.5 to 2^10.
    assert row["category_value_band"] == "Road|19"


def test_nothing_that_comes_after_the_publication_is_a_feature_of_the_notice(home):
    row = one_notice(home)
    assert not {"opened_at", "withdrawn_at", "bids", "won", "winner"} & row.keys()
    later = one_notice(home, opened_at=tables.NOW + timedelta(days=9), withdrawn_at=tables.NOW)
    assert later == row


def test_a_cross_of_something_missing_is_missing(home):
    row = one_notice(home, unit=None, place="Kullu", category=None)
    assert [name for name in row if "|" in str(row[name])] == []
    assert row["place_unit"] is None


def test_a_column_of_the_source_is_carried_through(home, config):
    write_lake(
        home,
        notice=[tables.notice(is_urgent=True, tags=["a", "b"])],
        company=[tables.company(rating=4.5)],
    )
    build_features(config)
    assert {name: read(home, "notice")[0][name] for name in ("is_urgent", "tags")} == {
        "is_urgent": True,
        "tags": ["a", "b"],
    }
    assert read(home, "company_profile")[0]["rating"] == 4.5


def test_a_column_of_the_source_named_like_a_feature_is_refused(home, config):
    write_lake(home, notice=[tables.notice(Log_Value=3.0)])
    with pytest.raises(ContractError, match=r"notice: .* log_value"):
        build_features(config)
    assert not (home / "features").exists()


def test_without_a_lake_the_build_says_what_to_run(config):
    with pytest.raises(InputMissing, match="run: bidrec ingest"):
        build_features(config)


def test_rows_are_sorted_within_a_segment(home, config):
    first = tables.notice()["published_at"]
    notices = [tables.notice(number, published_at=first - number * tables.DAY) for number in range(5)]
    write_lake(home, notice=notices, bid=[tables.bid(of=number, by=number % 2) for number in range(5)])
    build_features(config)
    assert [row["notice_id"] for row in read(home, "notice")] == ["n4", "n3", "n2", "n1", "n0"]
    assert [(bid["company_id"], bid["notice_id"]) for bid in read(home, "bid_log")] == [
        *(("c0", f"n{number}") for number in (0, 2, 4)),
        *(("c1", f"n{number}") for number in (1, 3)),
    ]


def test_a_company_may_bid_without_a_record_and_have_a_record_without_a_bid(home, config):
    write_lake(home, notice=[tables.notice()], company=[tables.company(1)], bid=[tables.bid(by=0)])
    build_features(config)
    assert [row["company_id"] for row in read(home, "company_profile")] == ["c1"]
    assert [row["company_id"] for row in read(home, "company_activity")] == ["c0"]


def test_a_market_without_bids_has_empty_histories(home, config):
    write_lake(home, notice=[tables.notice()])
    manifest = build_features(config)
    assert {name: table["rows"] for name, table in manifest["tables"].items()} == {
        "notice": 1,
        "notice_status": 1,
        "company_profile": 0,
        "bid_log": 0,
        "company_activity": 0,
        "company_history": 0,
        "company_state": 0,
    }


def test_the_same_lake_gives_the_same_bytes_and_an_unchanged_one_is_left_alone(home, config):
    notices, bids = [tables.notice(number) for number in range(3)], [tables.bid(of=number) for number in range(3)]
    write_lake(home, notice=notices, bid=bids)
    first = build_features(config)
    written = (home / "features").stat().st_mtime_ns
    assert build_features(config) == first
    assert (home / "features").stat().st_mtime_ns == written
    shutil.rmtree(home / "features")
    assert content_of(build_features(config)) == content_of(first)
    write_lake(home, notice=notices, bid=bids[:2])
    assert build_features(config)["tables"]["bid_log"]["rows"] == 2


def test_a_build_that_dies_leaves_the_old_features_and_nothing_else(home, config):
    write_lake(home, notice=[tables.notice()], bid=[tables.bid()])
    before = build_features(config)
    write_lake(home, notice=[tables.notice(), tables.notice(1)], bid=[tables.bid()])
    (home / "lake" / part_file("bid", 1)).write_bytes(b"PAR1 torn")
    with pytest.raises(Exception, match=r"000001\.parquet"):
        build_features(config)
    assert read_manifest(home / "features") == before
    assert sorted(path.name for path in home.iterdir()) == [".features.lock", "features", "lake"]


@pytest.mark.parametrize(
    "file", ["lake/bid/000001", "lake/company/000001", "features/notice/000001", "features/company_state/000001"]
)
def test_a_build_that_goes_on_reads_nothing_that_was_changed_since_it_was_written(home, config, file):
    two_days(home)
    before = read_manifest(home / "features")
    changed = home / f"{file}.parquet"
    rows = parquet.read_table(changed)
    changed.unlink()
    parquet.write_table(rows, changed, compression="gzip")
    with pytest.raises(ContractError, match=rf"{file}\.parquet is damaged"):
        build_features(config)
    assert read_manifest(home / "features") == before


def later(day):
    """A lake that knows everything until that day of 2024."""
    return {"read_at": (tables.notice()["published_at"] + day * tables.DAY).isoformat()}


def two_days(home):
    """A lake of three notices, of which one day later one is withdrawn, one is new, and a bid on it is known."""
    known_at = tables.notice(20)["published_at"]
    write_lake(home, [tables.notice(number) for number in range(3)], [tables.company()], [tables.bid()], **later(19))
    build_features(Config(home=str(home)))
    changed = tables.notice(1, known_at=known_at, withdrawn_at=known_at, title="Road 1, called off")
    add_part(
        home, later(21), notice=[changed, tables.notice(20, known_at=known_at)], bid=[tables.bid(20, known_at=known_at)]
    )


def test_a_segment_that_was_written_stays_as_it_is_and_a_table_without_news_gets_none(home, config):
    two_days(home)
    inodes = {path: path.stat().st_ino for path in (home / "features").glob("*/000001.parquet")}
    manifest = build_features(config)
    assert len(inodes) == len(EVENT_TIMES)
    assert {path: path.stat().st_ino for path in inodes} == inodes
    files = {name: [one["file"] for one in table["segments"]] for name, table in manifest["tables"].items()}
    assert files["company_profile"] == ["company_profile/000001.parquet"]
    assert files["bid_log"] == ["bid_log/000001.parquet", "bid_log/000002.parquet"]
    on_disk = {str(path.relative_to(home / "features")) for path in (home / "features").glob("*/*.parquet")}
    assert on_disk == set(manifest["files"])


def test_a_notice_stays_what_it_was_at_its_publication_and_its_status_says_what_became_of_it(home, config):
    two_days(home)
    build_features(config)
    assert [row["title"] for row in read(home, "notice", "WHERE notice_id = 'n1'")] == ["Road 1"]
    told = tables.notice(20)["published_at"]
    status = read(home, "notice_status", "WHERE notice_id = 'n1' ORDER BY known_at")
    assert [(row["known_at"], row["withdrawn_at"]) for row in status] == [
        (tables.notice(1)["published_at"], None),
        (told, told),
    ]


def test_a_notice_that_was_withdrawn_before_it_was_first_read_is_not_known_to_be_at_its_publication(home, config):
    """The source says both at once, of the past: a database holds one row a notice."""
    published, withdrawn = (tables.notice(number)["published_at"] for number in (1, 5))
    notices = [
        tables.notice(1, withdrawn_at=withdrawn),
        tables.notice(2, withdrawn_at=tables.notice(2)["published_at"]),
        tables.notice(3, withdrawn_at=tables.notice(30)["published_at"]),
    ]
    ingests = [{"ingest": 1, **later(19)}]
    write_lake(home, notices, [tables.company()], [tables.bid(1)], **later(19), ingests=ingests)
    build_features(config)
    status = read(home, "notice_status", "ORDER BY notice_id, known_at")
    assert [(row["notice_id"], row["known_at"], row["withdrawn_at"]) for row in status] == [
        ("n1", published, None),
        ("n1", withdrawn, withdrawn),
        ("n2", notices[1]["published_at"], notices[1]["withdrawn_at"]),  # a notice of a cancellation
        ("n3", notices[2]["published_at"], None),
        ("n3", datetime.fromisoformat(later(19)["read_at"]), notices[2]["withdrawn_at"]),  # announced, for day 30
    ]


def test_a_notice_that_was_published_anew_and_withdrawn_between_two_readings_is_told_one_after_the_other(home, config):
    first, anew, withdrawn = (tables.notice(number)["published_at"] for number in (1, 21, 22))
    ingests = [{"ingest": 1, **later(19)}, {"ingest": 2, **later(23)}]
    write_lake(home, [tables.notice(1)], [tables.company()], [tables.bid(1)], **later(19))
    changed = tables.notice(1, published_at=anew, known_at=anew, withdrawn_at=withdrawn)
    add_part(home, {**later(23), "ingests": ingests}, notice=[changed])
    build_features(config)
    status = read(home, "notice_status", "ORDER BY known_at")
    assert [(row["known_at"], row["withdrawn_at"]) for row in status] == [
        (first, None),
        (anew, None),
        (withdrawn, withdrawn),
    ]


def test_the_same_ingests_give_the_same_bytes(tmp_path):
    sums = []
    for name in ("one", "other"):
        two_days(tmp_path / name)
        sums.append(content_of(build_features(Config(home=str(tmp_path / name)))))
    assert sums[0] == sums[1]


def test_what_is_known_only_after_the_lake_was_read_waits(home, config):
    write_lake(home, [tables.notice(number) for number in range(3)], (), [tables.bid(2)], **later(1))
    assert build_features(config)["tables"]["notice"]["rows"] == 2
    add_part(home, later(30), notice=[tables.notice(29)])
    tables_of = build_features(config)["tables"]
    assert (tables_of["notice"]["rows"], tables_of["bid_log"]["rows"]) == (4, 1)


def test_what_was_stated_for_the_future_comes_true_with_a_reading_that_brings_nothing(home, config):
    write_lake(home, [tables.notice(number) for number in range(3)], **later(1))
    build_features(config)
    add_reading(home, read_manifest(home / "lake"), **later(3), inputs=None)
    assert build_features(config)["tables"]["notice"]["rows"] == 3


def test_an_older_copy_of_the_home_that_is_unpacked_over_it_is_not_read_together_with_what_came_since(
    home, config, tmp_path
):
    two_days(home)
    build_features(config)
    shutil.copytree(home, tmp_path / "copy")
    add_part(home, later(30), notice=[tables.notice(29, known_at=tables.notice(29)["published_at"])])
    build_features(config)
    shutil.copytree(tmp_path / "copy", home, dirs_exist_ok=True)
    manifest = build_features(config)
    assert {str(path.relative_to(home / "features")) for path in home.glob("features/*/*")} == {*manifest["files"]}
    assert len(read(home, "notice")) == 4


def test_features_of_another_lake_are_not_gone_on_with(home, config):
    two_days(home)
    build_features(config)
    write_lake(home, notice=[tables.notice(5)], bid=[tables.bid(5)])
    tables_of = build_features(config)["tables"]
    assert (tables_of["notice"]["rows"], tables_of["bid_log"]["rows"]) == (1, 1)


def with_another_line(monkeypatch, name):
    """From here on the file of that name says one line more."""
    read, line = Path.read_text, "\nMORE = 1\n" if name.endswith(".py") else "\n"
    monkeypatch.setattr(Path, "read_text", lambda file, **how: read(file, **how) + line * (file.name == name))


def test_features_of_other_rules_are_not_gone_on_with(home, config, monkeypatch):
    two_days(home)
    with_another_line(monkeypatch, "notice_status.sql")
    segments = {name: table["segments"] for name, table in build_features(config)["tables"].items()}
    assert [[one["file"] for one in segments[name]] for name in EVENT_TIMES] == [
        [f"{name}/000001.parquet"] for name in EVENT_TIMES
    ]


def imported(module):
    """The modules of bidrec.features that one of them reads, itself included."""
    text = (Path(build.__file__).parent / f"{module}.py").read_text(encoding="utf-8")
    return {module}.union(*(imported(name) for name in re.findall(r"^from bidrec\.features\.(\w+) import", text, re.M)))


def test_all_sql_and_all_code_that_makes_a_row_is_among_the_rules():
    rules = [*Path(build.__file__).parent.glob("*.sql"), *(Path(f"{name}.py") for name in imported("company"))]
    assert len(rules) > 12
    for name in [*(file.name for file in rules), "parts.py"]:  # which rows ever stood
        with pytest.MonkeyPatch.context() as patch:
            before = build._recipe(1)
            with_another_line(patch, name)
            assert build._recipe(1) != before, name


def test_one_build_at_a_time_works_in_a_home(home, config):
    write_lake(home, notice=[tables.notice()])
    impatient = replace(config, wait_seconds=0)
    with one_job_at_a_time(home, "features", 0), pytest.raises(Interrupted, match="another features job is at work"):
        build_features(impatient)


def test_killed_at_any_moment_the_old_features_are_there_and_the_next_build_completes_them(tmp_path):
    """SIGKILL, twelve times over the length of a build of some 20,000 bids."""
    home = tmp_path / "home"
    notices = [tables.notice(number) for number in range(300)]
    bids = [tables.bid(number, by) for number in range(300) for by in range(40) if (number + by) % 2]
    write_lake(home, notices, (), [bid for bid in bids if bid["known_at"] < tables.NOW], read_at=tables.NOW.isoformat())
    first = build_features(Config(home=str(home)))
    add_part(home, later(900), bid=[bid for bid in bids if bid["known_at"] > tables.NOW])
    code = (
        "from bidrec.config import Config; from bidrec.features.build import build_features; print(flush=True); "
        f"build_features(Config(home={str(home)!r}))"
    )
    ends = Counter()
    for step in range(12):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(step * 0.1)
        process.kill()
        process.wait()
        process.stdout.close()
        manifest = read_manifest(home / "features")
        ends[manifest == first] += 1
        for file, facts in manifest["files"].items():
            assert sha256(home / "features" / file) == facts["sha256"]
    assert ends[True], "no build was killed before its end"
    build_features(Config(home=str(home)))
    versions = read(home, "company_activity", "ORDER BY company_id, known_at")
    assert sorted(path.name for path in home.iterdir()) == [".features.lock", "features", "lake"]
    shutil.rmtree(home / "features")
    build_features(Config(home=str(home)))
    assert versions == read(home, "company_activity", "ORDER BY company_id, known_at")
