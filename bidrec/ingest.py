"""Ingest: a source's rows, held against the contract, become the lake; whole or not at all.

Reads   a source (`bidrec/sources/`)
Writes  a part of the lake (`bidrec/lake.py`), and quarantine/ with the rows that were not good enough

The same rows give the same bytes: the order is total, and Parquet is written in that order with fixed settings.
"""

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from bidrec import log, sources
from bidrec.casting import first_line, literal
from bidrec.checks import Checked, check
from bidrec.config import Config
from bidrec.contract import REASON, TABLES, Table
from bidrec.errors import CannotWrite, ConfigurationError, ContractError, Interrupted
from bidrec.lake import add_parts, part_file, sweep
from bidrec.storage import fingerprint, read_manifest, whole_folder, write_manifest, writing

_PARQUET = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880"
_ADDED = {"notice": ", published_at AS known_at"}
"""Columns of the lake that no source gives: from when on the notice's row was known."""
_logger = log.get("ingest")


def ingest(config: Config, *, force: bool = False, now: datetime | None = None) -> dict[str, Any]:
    """Write the lake of the configured source and return its manifest.

    Skipped when the inputs are files that have not changed since (unless `force`). `now` (UTC) is where the future
    begins, for the contract. Raises ConfigurationError 64, ContractError 65 (the quarantine is written all the same,
    the old lake stays), InputMissing 66, DependencyDown 69, CannotWrite 73, Interrupted 75 (another ingest is at work).
    """
    started = time.monotonic()
    definition = sources.load_definition(config.source.name)
    inputs = sources.inputs(config.source, definition)
    mark = fingerprint({"inputs": inputs, "contract": config.contract, "tables": TABLES}) if inputs else None
    lake = config.home_path / "lake"
    before = read_manifest(lake)
    if before and mark and before["inputs"] == mark and not force:
        _logger.info("lake is up to date", source=definition.name)
        return before
    with _workspace(config) as (connection, staging):
        sources.open_source(connection, config.source, definition, staging)
        for table in TABLES:
            sources.select(connection, definition, table)
        connection.execute("SET TimeZone = 'UTC'")
        checked = check(connection, config.contract, now)
        _report(checked)
        _write_quarantine(connection, config, checked)
        _refuse_too_many(connection, config, checked)
        number = before["ingest"] + 1 if before else 1
        facts = {name: _write_part(connection, table, staging, number, checked[name]) for name, table in TABLES.items()}
        rows = {name: entry["rows"] for name, entry in facts.items()}
        manifest = add_parts(
            lake, staging, number, rows, None, source=definition.name, zone=definition.zone, inputs=mark, tables=facts
        )
    _logger.info("lake written", **rows, seconds=round(time.monotonic() - started, 1))
    return manifest


@contextmanager
def _workspace(config: Config) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """A DuckDB database in the home, which spills there instead of holding the tables in memory; gone afterwards.

    Raises Interrupted (75) while another ingest works in this home: it would sweep away the other's files.
    """
    home = config.home_path
    staging = home / ".ingest"
    with _alone(home):
        with writing(home):
            _sweep(home)
            staging.mkdir()
        try:
            with duckdb.connect(staging / "work.duckdb") as connection:
                try:
                    connection.execute("SET memory_limit = $1", [config.memory_limit])
                except duckdb.Error as error:
                    raise ConfigurationError(f"memory_limit {config.memory_limit!r}: {first_line(error)}") from error
                connection.execute("SET temp_directory = $1", [str(staging / "spill")])
                yield connection, staging
        except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
            # A file that cannot be read has been refused before: what is left is the home's disk, or memory and disk.
            raise CannotWrite(
                f"cannot work in {home}: {first_line(error)}", hint="check the space there, and memory_limit"
            ) from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    with writing(home):
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / ".ingest.lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Interrupted(f"another ingest is at work in {home}", hint="run it again when that has ended") from None
        yield


def _sweep(home: Path) -> None:
    """Delete what an ingest that was killed has left."""
    for pattern in (".ingest", ".quarantine.*"):
        for folder in home.glob(pattern):
            shutil.rmtree(folder, ignore_errors=True)
    sweep(home / "lake")


def _report(checked: dict[str, Checked]) -> None:
    for name, found in checked.items():
        for warning in found.warnings:
            _logger.warning(warning)
        for reason, number in found.reasons.items():
            _logger.warning("quarantined", table=name, reason=reason, rows=number, of=found.given)


def _write_quarantine(connection: duckdb.DuckDBPyConnection, config: Config, checked: dict[str, Checked]) -> None:
    with whole_folder(config.home_path / "quarantine") as folder:
        for table in TABLES.values():
            _copy(
                connection,
                table,
                folder / f"{table.name}.parquet",
                f"SELECT * FROM checked_{table.name} WHERE {REASON} IS NOT NULL",
            )
        facts = {
            name: {"given": found.given, "quarantined": found.quarantined, "reasons": found.reasons}
            for name, found in checked.items()
        }
        write_manifest(folder, kind="quarantine", tables=facts)


def _refuse_too_many(connection: duckdb.DuckDBPyConnection, config: Config, checked: dict[str, Checked]) -> None:
    """Raise ContractError (65) if a table has more bad rows than contract.max_bad_share, or no good one."""
    limit = config.contract.max_bad_share
    for name, found in checked.items():
        if found.quarantined < found.given and found.quarantined <= limit * found.given:
            continue
        key = TABLES[name].key
        row = connection.execute(
            f"SELECT {REASON}, {', '.join(key)} FROM checked_{name} WHERE {REASON} IS NOT NULL "
            f"ORDER BY {', '.join(key)} LIMIT 1"
        ).fetchall()[0]
        example = ", ".join(f"{column} {value}" for column, value in zip(key, row[1:], strict=True))
        reasons = "; ".join(f"{reason}: {number}" for reason, number in list(found.reasons.items())[:5])
        raise ContractError(
            f"{name}: {found.quarantined} of {found.given} rows are bad, more than {limit:.2%} "
            f"({reasons}; for example {example}: {row[0]})",
            hint=f"look into {config.home_path / 'quarantine' / name}.parquet, or raise contract.max_bad_share",
        )


def _write_part(
    connection: duckdb.DuckDBPyConnection, table: Table, staging: Path, number: int, found: Checked
) -> dict[str, Any]:
    good = f"SELECT * EXCLUDE ({REASON}){_ADDED.get(table.name, '')} FROM checked_{table.name} WHERE {REASON} IS NULL"
    _copy(connection, table, staging / part_file(table.name, number), good)
    return _facts(connection, table, good, found)


def _facts(connection: duckdb.DuckDBPyConnection, table: Table, good: str, found: Checked) -> dict[str, Any]:
    """Row count, first and last time (UTC) of every needed time column, and what was left behind."""
    times = [column.name for column in table.columns if column.type == "TIMESTAMPTZ" and column.needed]
    ranges = ", ".join(f"min({name})::VARCHAR, max({name})::VARCHAR" for name in times)
    rows, *ends = connection.execute(f"SELECT count(*), {ranges} FROM ({good})").fetchall()[0]
    return {
        "rows": rows,
        "range": {name: [first, last] for name, first, last in zip(times, ends[::2], ends[1::2], strict=True)},
        "quarantined": found.quarantined,
        "reasons": found.reasons,
        "warnings": found.warnings,
    }


def _copy(connection: duckdb.DuckDBPyConnection, table: Table, file: Path, rows: str) -> None:
    order = ", ".join(table.order)
    with writing(file):
        file.parent.mkdir(exist_ok=True)
        connection.execute(f"COPY ({rows} ORDER BY {order}) TO {literal(str(file))} ({_PARQUET})")
