"""What an ingest and a training would make of the source, without writing any of it.

Reads   the source, all of it, as the first ingest would, and the home's lake, to which a later one adds what is new
Writes  nothing that stays
"""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from bidrec import sources
from bidrec.config import Config
from bidrec.contract import REASON, TABLES
from bidrec.errors import BidrecError
from bidrec.lake import quarantine
from bidrec.lake.anew import begin_anew
from bidrec.lake.checks import Checked
from bidrec.lake.ingest import Reading, last_reading, take
from bidrec.operations import log
from bidrec.sql.workspace import bound
from bidrec.training_set.arrays import seconds
from bidrec.training_set.splits import bounds_of, check_windows, day_of

_COMING = 2**31 - 1
"""Stands for the part that an ingest would write: later than any there is."""


def rehearse(config: Config, *, now: datetime | None = None) -> dict[str, Any]:
    """Read the source, hold it against the contract, and cut it by [split]; returns what was found.

    `now` (UTC) is the time of the reading. Where the home has a lake that an ingest would go on with, the split is cut
    of that lake with what is new to it, and `late` says how many rows came, or would come, after a reading that they
    say they were known by: they count from the reading that brought them.

    Raises what an ingest or a training would: ConfigurationError (64), ContractError (65), InputMissing (66),
    DependencyDown (69). Where it is a split or bad rows that end it, what was found by then is logged.
    """
    definition = sources.load_definition(config.source.name)
    files = sources.files(config.source, definition)
    size = {"megabytes": round(sum(size for _, size, _ in files) / 1e6, 1)} if files else {}
    log.get("check").info("reading the whole source, as a first ingest would", source=definition.name, **size)
    with tempfile.TemporaryDirectory(prefix="bidrec-") as folder, duckdb.connect(f"{folder}/work.duckdb") as connection:
        bound(connection, config, Path(folder))
        sources.give(connection, config.source, definition, Path(folder))
        last, read_at = last_reading(config, definition), now or datetime.now(UTC)
        if last:
            read_at = last.later(read_at)
        checked, news = take(connection, config, last, read_at)
        if last is None:
            begin_anew(connection, config.home_path)
        earlier = quarantine.folders_of(config.home_path, last.manifest if last else None)
        tables = {name: _described(connection, name, found) for name, found in checked.items()}
        try:
            quarantine.refuse_too_many(connection, news, config.contract.max_bad_share, target=None, earlier=earlier)
            split, windows = _windows(connection, config, last is not None, read_at)
        except BidrecError:
            _tell(tables)
            raise
        return {
            "source": definition.name,
            "zone": definition.zone,
            "tables": tables,
            "late": _late(connection, last),
            "split": split,
            "windows": windows,
        }


def _described(connection: duckdb.DuckDBPyConnection, name: str, found: Checked) -> dict[str, Any]:
    return {
        "rows": found.given,
        "quarantined": found.quarantined,
        "reasons": found.reasons,
        "warnings": found.warnings,
        "range": _range(connection, name),
    }


def _tell(tables: dict[str, dict[str, Any]]) -> None:
    """Log what was found of each table, where an error comes instead of the result: it may say what the error is of."""
    logger = log.get("check")
    for name, table in tables.items():
        since, until = table["range"]
        logger.info(name, rows=table["rows"], since=since, until=until, bad=table["reasons"])
        for warning in table["warnings"]:
            logger.warning(warning)


def _good(table: str) -> str:
    return f"checked_{table} WHERE {REASON} IS NULL"


def _range(connection: duckdb.DuckDBPyConnection, table: str) -> list[str | None]:
    """First and last time (UTC) of the good rows, of publication, of becoming known; None where no row is good."""
    column = "published_at" if table == "notice" else "known_at"
    ends = connection.execute(f"SELECT min({column})::VARCHAR, max({column})::VARCHAR FROM {_good(table)}").fetchall()
    return list(ends[0])


def _late(connection: duckdb.DuckDBPyConnection, last: Reading | None) -> dict[str, int]:
    """Table -> rows that an ingest found late, or would; without those tables that have none."""
    before = last.manifest["ingests"] if last else []
    late = {
        name: sum(each["came"][name]["late"] or 0 for each in before)
        + int(connection.execute(f"SELECT count(*) FROM came_{name} WHERE late").fetchall()[0][0])
        for name in TABLES
    }
    return {name: rows for name, rows in late.items() if rows}


def _windows(
    connection: duckdb.DuckDBPyConnection, config: Config, held: bool, known_until: datetime
) -> tuple[dict[str, str], dict[str, Any]]:
    """The days of the split, and how many notices and bids lie in each window: of what is known by `known_until`, each
    notice and bid as it first was, as the features have them."""
    connection.execute("SET VARIABLE known_until = ?", [known_until])
    connection.execute(
        f"""CREATE TABLE published AS
            SELECT notice_id, (row_number() OVER (ORDER BY published_at, notice_id) - 1)::INTEGER AS row, published_at
            FROM (SELECT notice_id, arg_min({seconds("published_at", "floor")}, part) AS published_at
                FROM ({_known("notice", "published_at", held)}) GROUP BY notice_id)"""
    )
    connection.execute(
        f"""CREATE TABLE drawn AS
            SELECT row, published_at, bid.known_at
            FROM (SELECT notice_id, arg_min({seconds("known_at")}, part) AS known_at
                FROM ({_known("bid", "company_id", held)}) GROUP BY notice_id, company_id) AS bid
            JOIN published USING (notice_id)"""
    )
    published_at = connection.execute("SELECT published_at FROM published ORDER BY row").fetchnumpy()["published_at"]
    # A bid that was public no later than its notice makes no pair, and ends the data all the same.
    pairs = connection.execute("SELECT row, known_at FROM drawn WHERE known_at > published_at").fetchnumpy()
    (newest,) = connection.execute("SELECT max(known_at) FROM drawn").fetchall()[0]
    bounds = bounds_of(config.split, newest or 0)
    windows = check_windows(
        bounds,
        np.asarray(published_at, np.int64),
        np.asarray(pairs["row"], np.int32),
        np.asarray(pairs["known_at"], np.int64),
    )
    return {name: day_of(moment) for name, moment in bounds.as_dict().items()}, windows


def _known(table: str, column: str, held: bool) -> str:
    """SELECT of the rows of the lake that came true, and of those that would come to it, known by the variable."""
    columns = f"notice_id, {column}, known_at"
    rows = f"SELECT {columns}, {_COMING} AS part FROM came_{table}"
    if held:
        rows += f" UNION ALL SELECT {columns}, part FROM lake_{table}_stood"
    return f"SELECT * FROM ({rows}) WHERE known_at <= getvariable('known_until')"
