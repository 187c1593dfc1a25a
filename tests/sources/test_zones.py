"""Clock times are DuckDB's to read: what it knows of a zone, beside what this machine does."""

import zoneinfo
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from bidrec.errors import ConfigurationError
from bidrec.sources.definition import RawTable
from bidrec.sources.raw import make_view
from bidrec.sources.zones import read_clocks_in


@pytest.fixture
def rules(tmp_path: Path) -> Iterator[Path]:
    """A folder of rules that Python goes by instead of the machine's, in which New York keeps Lima's time."""
    made = tmp_path / "America" / "New_York"
    made.parent.mkdir()
    made.write_bytes((Path(zoneinfo.TZPATH[0]) / "America" / "Lima").read_bytes())
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath([tmp_path])
    zoneinfo.ZoneInfo.clear_cache()
    yield tmp_path
    zoneinfo.reset_tzpath(before)
    zoneinfo.ZoneInfo.clear_cache()


def test_the_session_reads_the_clock_of_the_zone_without_a_word_where_both_have_the_same_rules(capsys):
    with duckdb.connect() as connection:
        read_clocks_in(connection, "Asia/Seoul")
        ((hour,),) = connection.execute("SELECT epoch('2024-07-01 10:00:00'::TIMESTAMPTZ) // 3600 % 24").fetchall()
    assert hour == 1
    assert capsys.readouterr().err == ""


def test_a_zone_of_which_duckdb_has_other_rules_than_the_machine_is_told_with_the_days(rules, capsys):
    with duckdb.connect() as connection:
        read_clocks_in(connection, "America/New_York")
    said = capsys.readouterr().err
    assert "different rules of the zone" in said
    assert "days='1990-01-07 to 2" in said  # summer time in Lima


NIGHTS = [
    ("America/New_York", "2024-11-03 01:30"),
    ("America/New_York", "2024-03-10 02:30"),
    ("America/Sao_Paulo", "2018-02-17 23:30"),
    ("America/Sao_Paulo", "2018-11-04 00:00"),  # a day without a midnight
    ("Australia/Lord_Howe", "2024-04-07 01:45"),
    ("Africa/Casablanca", "2024-03-10 02:30"),
    ("Asia/Kathmandu", "2024-03-10 02:30"),
    ("Pacific/Apia", "2011-12-30 12:00"),  # a day that was not
]


@pytest.mark.parametrize(("zone", "shown"), NIGHTS)
def test_what_a_clock_shows_twice_or_never_is_the_later_of_what_it_may_be_as_text_and_as_a_time(zone, shown):
    wanted = {"as_text": "TIMESTAMP", "as_time": "TIMESTAMP", "in_zone": "TIMESTAMPTZ"}
    given = f"SELECT '{shown}' AS as_text, TIMESTAMP '{shown}' AS as_time, '{shown}' AS in_zone"
    with duckdb.connect() as connection:
        read_clocks_in(connection, zone)
        make_view(connection, RawTable(name="notice", table="notice", columns=wanted, optional={}), f"({given})")
        ((*found,),) = connection.execute(
            f"SELECT epoch(as_text AT TIME ZONE '{zone}'), epoch(as_time AT TIME ZONE '{zone}'), epoch(in_zone) "
            "FROM raw_notice"
        ).fetchall()
    clock = datetime.fromisoformat(shown).replace(tzinfo=zoneinfo.ZoneInfo(zone))
    assert found == [max(clock.replace(fold=fold).timestamp() for fold in (0, 1))] * 3


@pytest.mark.parametrize("zone", ["localtime", "posixrules", "Mars/Phobos", "it's"])
def test_a_zone_that_duckdb_does_not_know_is_refused(zone):
    with duckdb.connect() as connection, pytest.raises(ConfigurationError, match="knows no zone " + zone):
        read_clocks_in(connection, zone)
