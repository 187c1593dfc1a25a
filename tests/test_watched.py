from itertools import pairwise

import duckdb
import pytest
from structlog.testing import capture_logs

from bidrec import log, watched
from bidrec.progress import how_far


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


def test_of_a_short_statement_nothing_is_told_and_an_error_is_the_statements_own() -> None:
    with duckdb.connect() as connection, capture_logs() as logs:
        with watched.watched(connection, log.get("ingest"), "counting"):
            assert connection.execute("SELECT 1").fetchall() == [(1,)]
        with pytest.raises(duckdb.BinderException), watched.watched(connection, log.get("ingest"), "counting"):
            connection.execute("SELECT nonsense")
    assert logs == []
