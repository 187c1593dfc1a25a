"""A DuckDB for one step of a job: times in UTC, within config.memory_limit, and what does not fit goes to the home.

Writes  HOME/.NAME.xxx.partial while the step lasts; the next one of that name sweeps what a killed job has left there
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from bidrec.config import Config
from bidrec.errors import ConfigurationError
from bidrec.sql.words import NO_FILE_CACHE, first_line
from bidrec.storage.whole import working_folder


@contextmanager
def workspace(config: Config, name: str) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """Yield the connection, and a folder for files that are not to stay.

    Raises ConfigurationError (64) for a memory_limit that is none, CannotWrite (73).
    """
    with working_folder(config.home_path, name) as folder, duckdb.connect() as connection:
        bound(connection, config, folder)
        connection.execute("SET TimeZone = 'UTC'")
        yield connection, folder


@contextmanager
def looking() -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection to nothing but files: times in UTC, and no copies of the files in memory."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(NO_FILE_CACHE)
        yield connection


def bound(connection: duckdb.DuckDBPyConnection, config: Config, folder: Path) -> None:
    """Hold the connection to config.memory_limit, spilling to the folder. Raises ConfigurationError (64)."""
    try:
        connection.execute("SET memory_limit = $1", [config.memory_limit])
    except duckdb.Error as error:
        raise ConfigurationError(f"memory_limit {config.memory_limit!r}: {first_line(error)}") from error
    connection.execute("SET temp_directory = $1", [str(folder / "spill")])
    connection.execute(NO_FILE_CACHE)
