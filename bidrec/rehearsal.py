"""What an ingest and a training would make of the source, without writing any of it.

Reads   the source, all of it, as the first ingest would
Writes  nothing that stays
"""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from bidrec import log, sources
from bidrec.checks import check
from bidrec.config import Config
from bidrec.contract import REASON, TABLES
from bidrec.increment import take_all
from bidrec.quarantine import refuse_too_many
from bidrec.training_set.rows import seconds
from bidrec.training_set.splits import bounds_of, check_windows, day_of
from bidrec.workspace import bound


def rehearse(config: Config, *, now: datetime | None = None) -> dict[str, Any]:
    """Read the source, hold it against the contract, and cut it by [split]; returns what was found.

    Raises what an ingest or a training would: ConfigurationError (64), ContractError (65), InputMissing (66),
    DependencyDown (69).
    """
    definition = sources.load_definition(config.source.name)
    files = sources.files(config.source, definition)
    size = {"megabytes": round(sum(size for _, size, _ in files) / 1e6, 1)} if files else {}
    log.get("check").info("reading the whole source, as a first ingest would", source=definition.name, **size)
    with tempfile.TemporaryDirectory(prefix="bidrec-") as folder, duckdb.connect(f"{folder}/work.duckdb") as connection:
        bound(connection, config, Path(folder))
        sources.open_source(connection, config.source, definition, Path(folder))
        for table in TABLES:
            sources.select(connection, definition, table)
        connection.execute("SET TimeZone = 'UTC'")
        checked = check(connection, config.contract, now or datetime.now(UTC))
        take_all(connection)
        refuse_too_many(connection, None, checked, config.contract.max_bad_share, first=True)
        split, windows = _windows(connection, config)
        return {
            "source": definition.name,
            "zone": definition.zone,
            "tables": {
                name: {
                    "rows": found.given,
                    "quarantined": found.quarantined,
                    "reasons": found.reasons,
                    "warnings": found.warnings,
                    "range": _range(connection, name),
                }
                for name, found in checked.items()
            },
            "split": split,
            "windows": windows,
        }


def _good(table: str) -> str:
    return f"checked_{table} WHERE {REASON} IS NULL"


def _range(connection: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    """First and last time (UTC) of the good rows: of publication, of becoming known."""
    column = "published_at" if table == "notice" else "known_at"
    ends = connection.execute(f"SELECT min({column})::VARCHAR, max({column})::VARCHAR FROM {_good(table)}").fetchall()
    return list(ends[0])


def _windows(connection: duckdb.DuckDBPyConnection, config: Config) -> tuple[dict[str, str], dict[str, Any]]:
    """The days of the split, and how many notices and bids lie in each window."""
    connection.execute(
        f"""CREATE TABLE published AS
            SELECT notice_id, (row_number() OVER (ORDER BY published_at, notice_id) - 1)::INTEGER AS row,
                {seconds("published_at", "floor")} AS published_at FROM {_good("notice")}"""
    )
    published_at = connection.execute("SELECT published_at FROM published ORDER BY row").fetchnumpy()["published_at"]
    notice = connection.execute(
        f"SELECT row FROM (SELECT notice_id FROM {_good('bid')}) JOIN published USING (notice_id)"
    ).fetchnumpy()["row"]
    (newest,) = connection.execute(f"SELECT max({seconds('known_at')}) FROM {_good('bid')}").fetchall()[0]
    bounds = bounds_of(config.split, newest or 0)
    windows = check_windows(bounds, np.asarray(published_at, np.int64), np.asarray(notice, np.int32))
    return {name: day_of(moment) for name, moment in bounds.as_dict().items()}, windows
