"""Ingest: what a source has, held against the contract and compared with the lake, becomes the lake's next part.

Reads   a source (`bidrec/sources/`), and the lake there is
Writes  a part of the lake (`parts.py`), and the rows that were not good enough (`quarantine.py`)

The same rows give the same bytes: the order is total, and Parquet is written in that order with fixed settings.
Reading them again changes nothing.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from bidrec import sources
from bidrec.config import Config
from bidrec.contract import TABLES, Table
from bidrec.errors import CannotWrite
from bidrec.lake import quarantine
from bidrec.lake.anew import begin_anew
from bidrec.lake.checks import Checked, check
from bidrec.lake.erased import leave_out
from bidrec.lake.increment import take_all, take_news
from bidrec.lake.merging import merge
from bidrec.lake.parts import (
    NO_NEWS,
    add_parts,
    add_reading,
    copy_sorted,
    extent,
    newest_reading,
    open_lake,
    part_file,
)
from bidrec.operations import log
from bidrec.sources.definition import Definition
from bidrec.sql.watched import watched_sort
from bidrec.sql.words import first_line
from bidrec.sql.workspace import bound
from bidrec.storage.intact import require_intact, sweep_unnamed
from bidrec.storage.locks import one_job_at_a_time
from bidrec.storage.sealed import fingerprint, read_manifest
from bidrec.storage.whole import sweep, working_folder, writing

_STAGING = "ingest"
"""Name of the working folder in the home."""
_logger = log.get("ingest")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A lake, and the last time its source was read, or was seen to be as it was."""

    manifest: dict[str, Any]
    read_at: datetime
    inputs: str | None
    given: dict[str, int]
    """Table -> rows that the source gave then."""

    def later(self, now: datetime) -> datetime:
        """The time of the next reading: whatever the clock says, it is later than this one."""
        return max(now, self.read_at + timedelta(seconds=1))


def ingest(config: Config, *, force: bool = False, now: datetime | None = None) -> dict[str, Any]:
    """Bring the lake up to date with the configured source and return its manifest.

    New and changed rows become a new part; where there are none, the lake is left alone, and only the time of the
    reading is kept. It begins anew with `force`, or where the source's SQL, columns, zone or parameters have changed
    and the source still gives whatever the lake has (`anew.py`). Files that have not changed are not read: they say
    what they said. `now` (UTC) is the time of the reading. Raises ConfigurationError 64, ContractError 65 (the
    quarantine is written all the same), InputMissing 66, DependencyDown 69, CannotWrite 73, Interrupted 75 (another
    ingest is at work for longer than config.wait_seconds).
    """
    with one_job_at_a_time(config.home_path, "ingest", config.wait_seconds):
        return _ingest(config, force, now)


def _ingest(config: Config, force: bool, now: datetime | None) -> dict[str, Any]:
    started = time.monotonic()
    with writing(config.home_path):
        _sweep(config.home_path)
    definition = sources.load_definition(config.source.name)
    files = sources.files(config.source, definition)
    inputs = fingerprint({"files": files, "contract": config.contract}) if files else None
    made_by = _made_by(config, definition)
    last = None if force else last_reading(config, definition)
    read_at = now or datetime.now(UTC)
    if last:
        read_at = last.later(read_at)
    if last and inputs and last.inputs == inputs:
        add_reading(config.home_path, last.manifest, read_at=read_at.isoformat(), inputs=inputs, given=last.given)
        _logger.info("lake is up to date", source=definition.name)
        return last.manifest
    with _workspace(config) as (connection, staging):
        given, checked, optional = _read(connection, config, definition, staging, last, read_at)
        late: list[str] = last.manifest.get("late_readings", []) if last else []
        if last is None and not force:
            late = begin_anew(connection, config.home_path)
        facts: dict[str, Any] = {"source": definition.name, "zone": definition.zone, "made_by": made_by}
        facts |= {"inputs": inputs, "optional": optional, "given": given, "late_readings": late}
        manifest = _write(connection, config, staging, checked, last, facts | {"read_at": read_at.isoformat()})
    news = not last or last.manifest != manifest
    _logger.info(
        "lake written" if news else "nothing new",
        part=manifest["ingest"],
        **{name: entry["rows"] for name, entry in manifest["tables"].items()},
        given=given,
        came={name: kinds["rows"] for name, kinds in manifest["ingests"][-1]["came"].items()} if news else {},
        seconds=round(time.monotonic() - started, 1),
    )
    return manifest


@contextmanager
def _workspace(config: Config) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """A DuckDB database in the home, which spills there instead of holding the tables in memory; gone afterwards."""
    home = config.home_path
    try:
        with working_folder(home, _STAGING) as staging, duckdb.connect(staging / "work.duckdb") as connection:
            bound(connection, config, staging)
            yield connection, staging
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        # A file that cannot be read has been refused before: what is left is the home's disk, or memory and disk.
        raise CannotWrite(
            f"cannot work in {home}: {first_line(error)}", hint="check the space there, and memory_limit"
        ) from error


def _sweep(home: Path) -> None:
    """Delete what an ingest that was killed has left."""
    sweep(home, _STAGING)
    sweep(home, NO_NEWS)
    sweep(home / "quarantine")
    sweep_unnamed(home / "lake", TABLES)


def _made_by(config: Config, definition: Definition) -> str:
    return fingerprint({"source": sources.identity(config.source, definition), "tables": TABLES})


def last_reading(config: Config, definition: Definition) -> Reading | None:
    """The lake there is in the home; None where it has to begin anew."""
    home = config.home_path
    manifest = read_manifest(home / "lake")
    if manifest is None or manifest.get("made_by") != _made_by(config, definition):
        return None
    read = newest_reading(home, manifest)
    read_at = datetime.fromisoformat(read["read_at"])
    return Reading(manifest=manifest, read_at=read_at, inputs=read["inputs"], given=read.get("given", {}))


def _read(
    connection: duckdb.DuckDBPyConnection,
    config: Config,
    definition: Definition,
    staging: Path,
    last: Reading | None,
    read_at: datetime,
) -> tuple[dict[str, int], dict[str, Checked], dict[str, list[str]]]:
    """Make came_<table> and bad_<table>; returns how many rows the source gave, what the check found of those that are
    news, and the optional columns seen so far."""
    since = last.read_at - timedelta(days=config.source.overlap_days) if last else None
    given = sources.give(connection, config.source, definition, staging, since)
    optional = _seen(given.optional, last.manifest.get("optional", {}) if last else {})
    checked, news = take(connection, config, last, read_at, since=None if given.whole else since)
    return {name: found.given for name, found in checked.items()}, news, optional


def _seen(there: dict[str, list[str]], before: dict[str, list[str]]) -> dict[str, list[str]]:
    """Raw table -> the optional columns there are or were. One that went makes all its values NULL: that is said."""
    for table, columns in before.items():
        if gone := [column for column in columns if column not in there.get(table, [])]:
            _logger.warning(
                "optional columns that were read before are gone: their values are missing now; bidrec ingest --force "
                "begins a lake without them",
                table=table,
                columns=", ".join(gone),
            )
    return {table: sorted({*columns, *before.get(table, [])}) for table, columns in there.items()}


def take(
    connection: duckdb.DuckDBPyConnection,
    config: Config,
    last: Reading | None,
    read_at: datetime,
    *,
    since: datetime | None = None,
) -> tuple[dict[str, Checked], dict[str, Checked]]:
    """Make came_<table> and bad_<table> of given_<table>, and the lake's views where there is a `last` reading.

    since: as `check` takes it. Returns what the check found of all that was given, and of what is news. Raises
    ContractError (65) as `check` does, and where the lake is damaged.
    """
    leave_out(connection, (read_manifest(config.home_path / "lake") or {}).get("erased") or {})
    if last:
        require_intact(config.home_path / "lake")
        open_lake(connection, config.home_path / "lake")
    checked = check(connection, config.contract, read_at, held=last is not None, since=since)
    if last is None:
        take_all(connection)
        return checked, checked
    earlier = quarantine.folders_of(config.home_path, last.manifest)
    return checked, take_news(connection, checked, watermark=last.read_at, read_at=read_at, quarantines=earlier)


def _write(
    connection: duckdb.DuckDBPyConnection,
    config: Config,
    staging: Path,
    checked: dict[str, Checked],
    last: Reading | None,
    facts: dict[str, Any],
) -> dict[str, Any]:
    """Write the quarantine and the lake's next part; returns the manifest, the old one where nothing good came."""
    home, before = config.home_path, last.manifest if last else None
    _report(checked, before)
    there = read_manifest(home / "lake") or {}  # also where the lake begins anew
    number = there.get("ingest", 0) + 1
    if before is None or any(found.given for found in checked.values()):
        folder = quarantine.folder_of(home, number)
        quarantine.write(connection, folder, checked)
        earlier = quarantine.folders_of(home, before)
        quarantine.refuse_too_many(connection, checked, config.contract.max_bad_share, target=folder, earlier=earlier)
    came = {name: _came(connection, name) for name in TABLES}
    if before and not any(entry["rows"] for entry in came.values()):
        add_reading(home, before, **{name: facts[name] for name in ("read_at", "inputs", "given")})
        return before
    rows = {name: entry["rows"] for name, entry in came.items() if entry["rows"] or before is None}
    for name in rows:
        good = f"SELECT * EXCLUDE (came, late) FROM came_{name}"
        with watched_sort(connection, _logger, name, rows[name]) as counted:
            copy_sorted(connection, TABLES[name], good, staging / part_file(name, number), counted)
    tables = {name: _facts(connection, table, checked[name], before) for name, table in TABLES.items()}
    ingests = [*(before["ingests"] if before else []), {"ingest": number, "read_at": facts["read_at"], "came": came}]
    merged = merge(connection, home / "lake", staging, number, before) if before else {}
    facts |= {"erased": there.get("erased") or {}, "tables": tables, "ingests": ingests}
    return add_parts(home / "lake", staging, number, rows, before, merged, **facts)


def _came(connection: duckdb.DuckDBPyConnection, name: str) -> dict[str, int]:
    """How many rows came, and of which kind: new (some of them late), changed, withdrawn."""
    counted = {"rows": "true", "new": "came = 'new'", "late": "late", "changed": "came = 'changed'"}
    counted["withdrawn"] = "came = 'withdrawn'"
    # count_if of no rows at all is NULL.
    counts = ", ".join(f"count(*) FILTER (WHERE {condition})" for condition in counted.values())
    return dict(zip(counted, connection.execute(f"SELECT {counts} FROM came_{name}").fetchall()[0], strict=True))


def _facts(
    connection: duckdb.DuckDBPyConnection, table: Table, found: Checked, before: dict[str, Any] | None
) -> dict[str, Any]:
    """Of the whole lake: its extent. Of this ingest: what was bad."""
    whole = extent(connection, table, f"came_{table.name}")
    if before:
        held = before["tables"][table.name]
        whole["rows"] += held["rows"]
        whole["range"] = {name: _hull(*held["range"][name], *span) for name, span in whole["range"].items()}
    return {
        **whole,
        "quarantined": found.quarantined,
        "reasons": found.reasons,
        "warnings": found.warnings,
    }


def _hull(*times: str | None) -> list[str | None]:
    there = [time for time in times if time]  # of one form, so that their order as text is that in time
    return [min(there, default=None), max(there, default=None)]


def _report(checked: dict[str, Checked], before: dict[str, Any] | None) -> None:
    """Warn of what is wrong. What was so at the ingest before is no news: it would be said every night, for ever."""
    for name, found in checked.items():
        told = before["tables"][name]["warnings"] if before else []
        for warning in found.warnings:
            if warning not in told:
                _logger.warning(warning)
        for reason, number in found.reasons.items():
            _logger.warning("quarantined", table=name, reason=reason, rows=number, of=found.given)
