"""Which rows a real PostgreSQL is asked for when only changes are wanted."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import psycopg
import pytest

from bidrec.errors import ConfigurationError
from bidrec.sources import postgres as reader
from bidrec.sources.definition import Definition, RawTable, load_definition
from tests import postgres
from tests.sources.test_postgres import needs_server
from tests.tables import write_source

SINCE = datetime(2024, 1, 10, 0, 30, tzinfo=UTC)  # 09:30 of the 10th in Seoul

TABLES = """
CREATE SCHEMA changes;
CREATE TABLE changes.notice (id text, "No" text, made timestamp, opens date);
INSERT INTO changes.notice VALUES
    ('old', '1', '2024-01-09 10:00', NULL), ('old again', '2', '2024-01-09 10:00', '2024-01-09'),
    ('later', '3', '2024-01-10 10:00', NULL), ('before, by the clock', '4', '2024-01-10 09:00', NULL),
    ('opens', '5', '2023-01-01 00:00', '2024-01-10'), ('undated', '6', NULL, NULL);
CREATE TABLE changes.bid (id text, no text, seen timestamptz);
INSERT INTO changes.bid VALUES
    ('old', '1', '2024-01-09 23:00+00'), ('seen', '2', '2024-01-10 01:00+00'),
    ('its notice changed', '3', '2023-01-01');
CREATE TABLE changes.company (id text, made text, seen timestamp);
INSERT INTO changes.company VALUES ('a', '2024-01-09', '2024-01-09'), ('b', '2024-01-11', '2024-01-09');
CREATE TABLE changes.numbered_bid (id text, no bigint, seen timestamptz);
INSERT INTO changes.numbered_bid VALUES ('seen', 2, '2024-01-10 01:00+00'), ('its notice changed', 3, '2023-01-01');
"""

pytestmark = needs_server


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres.server() as server:
        with psycopg.connect(server.url) as connection:
            connection.execute(TABLES)
        yield server.url


def read(
    url: str,
    staging: Path,
    since: datetime | None = SINCE,
    bids: str = "bid",
    zone: str = "Asia/Seoul",
    **times: tuple[str, ...],
) -> dict[str, set[str]]:
    """The ids of the rows that are read of each table, whose times are those given."""
    columns = {
        "notice": {"id": "VARCHAR", "no": "VARCHAR", "made": "TIMESTAMP", "opens": "DATE"},
        "bid": {"id": "VARCHAR", "no": "VARCHAR", "seen": "TIMESTAMPTZ"},
        "company": {"id": "VARCHAR", "made": "TIMESTAMP", "seen": "TIMESTAMP"},
    }
    raw = tuple(
        RawTable(name=name, table={"bid": bids}.get(name, name), columns=kinds, optional={}, since=times.get(name, ()))
        for name, kinds in columns.items()
    )
    definition = Definition(name="own", zone=zone, parameters={}, raw=raw, sql={}, together="no")
    relations = reader.fetch(url, "changes", definition, staging, since)
    return {
        name: {row[0] for row in duckdb.sql(f"SELECT id FROM {rows}").fetchall()} for name, rows in relations.items()
    }


def test_rows_that_may_have_changed_are_read_with_all_that_belongs_to_them(url, tmp_path):
    found = read(url, tmp_path, notice=("made", "opens"), bid=("seen",))
    assert found["notice"] == {"later", "opens", "undated", "old again"}  # the last because of its bid
    assert found["bid"] == {"seen", "its notice changed"}
    assert found["company"] == {"a", "b"}  # nothing says when they changed


def test_what_belongs_to_a_table_without_a_time_is_read_with_the_others_changes(url, tmp_path):
    found = read(url, tmp_path, notice=("made", "opens"))
    assert found["notice"] == {"later", "opens", "undated"}
    assert found["bid"] == {"its notice changed"}


def test_tables_whose_times_are_text_are_read_whole_and_so_is_everything_at_first(url, tmp_path):
    assert read(url, tmp_path, company=("made",))["company"] == {"a", "b"}
    assert len(read(url, tmp_path, since=None, notice=("made",))["notice"]) == 6


def test_a_table_of_whose_times_one_is_text_is_read_whole_since_that_one_may_be_all_that_moved(url, tmp_path):
    assert read(url, tmp_path, company=("made", "seen"))["company"] == {"a", "b"}
    assert len(read(url, tmp_path, notice=("made", "id"), bid=("seen",))["notice"]) == 6


def test_a_time_that_the_table_lacks_is_said(url, tmp_path, capsys):
    assert read(url, tmp_path, company=("seen", "no_such"))["company"] == set()
    assert re.search("without a time that it lacks.*lacks=no_such.*table=company", capsys.readouterr().err)


def test_what_was_written_after_the_clock_was_set_back_bears_an_earlier_time_and_is_read(url, tmp_path):
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS changes.night (id text, no bigint, seen timestamp)")
        connection.execute(
            "INSERT INTO changes.night VALUES ('long before', 1, '2024-11-03 00:40'), ('after', 2, '2024-11-03 01:15')"
        )
    first_pass = datetime(2024, 11, 3, 5, 45, tzinfo=UTC)  # 01:45 in New York; at 06:00 it is 01:00 again
    found = read(url, tmp_path, first_pass, bids="night", zone="America/New_York", bid=("seen",))
    assert found["bid"] == {"after"}


def test_a_number_and_a_text_that_say_the_same_belong_together(url, tmp_path):
    found = read(url, tmp_path, bids="numbered_bid", notice=("made", "opens"), bid=("seen",))
    assert found["notice"] == {"later", "opens", "undated", "old again"}
    assert found["bid"] == {"seen", "its notice changed"}


def test_a_time_that_is_no_column_of_the_table_is_refused_with_the_nearest(tmp_path):
    source = write_source(tmp_path, notice=[{"notice_id": "1", "published_at": SINCE}], company=[], bid=[])
    text = (tmp_path / "source.toml").read_text()
    for wrong, hint in (
        (text.replace("[raw.notice]", '[raw.notice]\nsince = ["publishd_at"]', 1), "is it published_at"),
        ('together = "tender"\n' + text, "no raw table has a column tender"),
    ):
        (tmp_path / "source.toml").write_text(wrong)
        with pytest.raises(ConfigurationError, match=hint):
            load_definition(source.name)
