from itertools import pairwise
from pathlib import Path

import duckdb
import pytest
from structlog.testing import capture_logs

from bidrec.operations import log
from bidrec.operations.progress import how_far
from bidrec.sql import watched


@pytest.mark.parametrize("rows", [None, 300_000])
def test_a_long_statement_is_told_of_in_rising_numbers_that_end_with_the_whole(
    rows: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "BAR_SECONDS", 0.001)
    with duckdb.connect() as connection, capture_logs() as logs:
        connection.execute("CREATE TABLE bid AS SELECT range AS id, hash(range)::VARCHAR AS company FROM range(300000)")
        with watched.watched(connection, log.get("ingest"), "sorting", rows):
            for _ in range(200):  # DuckDB says how far it is when it likes
                connection.execute("SELECT * FROM bid ORDER BY company").to_arrow_table()
                if logs:
                    break
    told = [how_far(one) for one in logs]
    assert {one["event"] for one in logs} == {"sorting"}
    assert {one.get("unit") for one in logs} == ({None} if rows else {"%"})
    assert all(before[0] < after[0] for before, after in pairwise(told))
    assert told[-1] == (rows or 100, rows or 100)


def test_a_statement_of_which_duckdb_says_nothing_is_told_to_be_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "BAR_SECONDS", 0.001)
    monkeypatch.setattr(watched, "QUIET_SECONDS", 0.01)
    crossed = "SELECT sum(hash(a.range, b.range) % 7) FROM range(20000) AS a CROSS JOIN range(5000) AS b"
    with (
        duckdb.connect() as connection,
        capture_logs() as logs,
        watched.watched(connection, log.get("ingest"), "reading notice"),
    ):
        connection.execute(crossed).fetchall()
    assert {one["event"] for one in logs} == {"reading notice"}
    assert {how_far(one) for one in logs} == {None}
    assert [one["seconds"] for one in logs] == sorted(one["seconds"] for one in logs)


def test_of_a_short_statement_nothing_is_told_and_an_error_is_the_statements_own() -> None:
    with duckdb.connect() as connection, capture_logs() as logs:
        with watched.watched(connection, log.get("ingest"), "counting"):
            assert connection.execute("SELECT 1").fetchall() == [(1,)]
        with pytest.raises(duckdb.BinderException), watched.watched(connection, log.get("ingest"), "counting"):
            connection.execute("SELECT nonsense")
    assert logs == []


def test_a_sort_tells_how_far_it_is_and_then_how_many_rows_are_written_and_writes_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "BAR_SECONDS", 0.001)
    ordered = "SELECT * FROM bid ORDER BY company"
    with duckdb.connect(tmp_path / "work.duckdb") as connection, capture_logs() as logs:
        connection.execute("CREATE TABLE bid AS SELECT range AS id, hash(range)::VARCHAR AS company FROM range(300000)")
        connection.execute(f"COPY ({ordered}) TO '{tmp_path}/plain.parquet'")
        for _ in range(20):  # a quick machine sorts it before anybody has looked
            logs.clear()
            with watched.watched_sort(connection, log.get("ingest"), "bid", 300_000) as counted:
                rows = f"SELECT * REPLACE ({counted('company')} AS company) FROM ({ordered})"
                connection.execute(f"COPY ({rows}) TO '{tmp_path}/watched.parquet'")
            if len({one["event"] for one in logs}) == 2:
                break
    told = {event: [how_far(one) for one in logs if one["event"] == event] for event in ("sorting bid", "writing bid")}
    assert [one["event"] for one in logs] == sorted(one["event"] for one in logs)
    assert told["sorting bid"][-1] == (100, 100)
    assert len(told["writing bid"]) > 1
    assert all(before[0] < after[0] for before, after in pairwise(told["writing bid"]))
    assert told["writing bid"][-1] == (300_000, 300_000)
    assert (tmp_path / "watched.parquet").read_bytes() == (tmp_path / "plain.parquet").read_bytes()


def test_a_sort_of_nothing_and_one_that_fails_say_nothing(tmp_path: Path) -> None:
    with duckdb.connect() as connection, capture_logs() as logs:
        with watched.watched_sort(connection, log.get("ingest"), "bid", 0) as counted:
            rows = f"SELECT {counted('one')} FROM (SELECT 1 AS one WHERE false ORDER BY one)"
            assert connection.execute(rows).fetchall() == []
        with (
            pytest.raises(duckdb.BinderException),
            watched.watched_sort(connection, log.get("ingest"), "bid", 9) as counted,
        ):
            connection.execute(f"SELECT {counted('nonsense')}")
    assert logs == []
