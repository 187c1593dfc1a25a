"""How far a long statement of DuckDB is, told while it runs.

Reads   what DuckDB says of a connection's statement, from a thread beside it
Writes  progress to the log (bidrec.progress)
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import structlog

from bidrec.progress import BAR_SECONDS


@contextmanager
def watched(
    connection: duckdb.DuckDBPyConnection,
    logger: structlog.typing.FilteringBoundLogger,
    event: str,
    rows: int | None = None,
) -> Iterator[None]:
    """Tell how far the one long statement in the block is: in `rows` where somebody knows how many it passes, otherwise
    in per cent. DuckDB estimates, and of some statements says nothing. Of what is soon done nothing is told.
    """
    connection.execute("SET enable_progress_bar = true")
    connection.execute("SET enable_progress_bar_print = false")  # it would draw one of its own
    whole, unit = (rows, {}) if rows else (100, {"unit": "%"})
    ended, told = threading.Event(), 0

    def tell(done: int) -> None:
        logger.info(event, done=f"{done}/{whole}", **unit)

    def look() -> None:
        nonlocal told
        while not ended.wait(BAR_SECONDS):
            done = min(int(whole * connection.query_progress() / 100), whole - 1)
            if done > told:
                told = done
                tell(done)

    thread = threading.Thread(target=look, name=event, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if told:
            tell(whole)
