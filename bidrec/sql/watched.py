"""How far a long statement of DuckDB is, told while it runs.

Reads   what DuckDB says of a connection's statement, from a thread beside it
Writes  progress to the log (bidrec.operations.progress)
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import duckdb
import structlog

from bidrec.operations.progress import BAR_SECONDS

_Logger = structlog.typing.FilteringBoundLogger
_PASSED = "rows_passed"
"""Sequence that counts rows, in the connection's database; its value is seen while the statement still runs."""
QUIET_SECONDS = 15.0
"""After so long without a word of how far a statement is, it is said that it is at work."""


@contextmanager
def watched(
    connection: duckdb.DuckDBPyConnection, logger: _Logger, event: str, rows: int | None = None
) -> Iterator[None]:
    """Tell how far the one long statement in the block is: in `rows` where somebody knows how many it passes, otherwise
    in per cent. DuckDB estimates, and of some statements says nothing: of these it is told now and then that they
    are at work. Of what is soon done nothing is told.
    """
    told = _Told(logger, event, rows)
    with _looking(connection, lambda: told.share(connection.query_progress() / 100)):
        yield
    told.end()


@contextmanager
def watched_sort(
    connection: duckdb.DuckDBPyConnection, logger: _Logger, table: str, rows: int
) -> Iterator[Callable[[str], str]]:
    """Tell how far the one statement in the block is, which sorts `rows` and then writes them: DuckDB's word holds for
    the sorting alone, so the rows are counted as they are written.

    Yields what makes of the name of a column an SQL expression with the same values that counts the rows: it belongs
    once into the SELECT around the sorted one.
    """
    sorting, writing = _Told(logger, f"sorting {table}"), _Told(logger, f"writing {table}", rows)
    connection.execute(f"CREATE OR REPLACE SEQUENCE {_PASSED}")
    beside = connection.cursor()

    def look() -> None:
        passed = f"SELECT coalesce(last_value, 0) FROM duckdb_sequences() WHERE sequence_name = '{_PASSED}'"
        written = beside.execute(passed).fetchall()[0][0]
        if written:
            sorting.end()
            writing.share(written / rows)
        else:
            sorting.share(connection.query_progress() / 100)

    with beside, _looking(connection, look):
        yield lambda column: f"CASE WHEN nextval('{_PASSED}') > 0 THEN {column} END"
    sorting.end()
    writing.end()


class _Told:
    """What was told of one event: rising numbers, and the whole at the end where there was anything before."""

    def __init__(self, logger: _Logger, event: str, rows: int | None = None) -> None:
        self.logger, self.event, self.done = logger, event, 0
        self.whole, self.unit = (rows, {}) if rows else (100, {"unit": "%"})
        self.begun = self.told = time.monotonic()

    def share(self, of_one: float) -> None:
        done, now = min(int(self.whole * of_one), self.whole - 1), time.monotonic()
        if done > self.done:
            self._tell(done)
        elif now - self.told < QUIET_SECONDS:
            return
        else:
            self.logger.info(self.event, seconds=round(now - self.begun))
        self.told = now

    def end(self) -> None:
        if 0 < self.done < self.whole:
            self._tell(self.whole)

    def _tell(self, done: int) -> None:
        self.done = done
        self.logger.info(self.event, done=f"{done}/{self.whole}", **self.unit)


@contextmanager
def _looking(connection: duckdb.DuckDBPyConnection, look: Callable[[], None]) -> Iterator[None]:
    """Call `look` now and then, in a thread, while the block's statement runs."""
    connection.execute("SET enable_progress_bar = true")
    connection.execute("SET enable_progress_bar_print = false")  # it would draw one of its own
    ended = threading.Event()

    def beside() -> None:
        while not ended.wait(BAR_SECONDS):
            with suppress(duckdb.Error):  # the statement's own failure is told by the statement
                look()

    thread = threading.Thread(target=beside, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
