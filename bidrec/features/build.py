"""Features: what became known in the lake since the last build becomes a further segment of each feature table.

Reads   lake/ (bidrec/lake/parts.py), the features as they are
Writes  features/<table>/NNNNNN.parquet + manifest.json, which the Feast repository and bidrec.training_set read; NNNNNN
        is the number of the build: one may follow another without an ingest, where only time has passed

A segment never changes and holds what became known in (known_after, known_until], so that building after every ingest
gives the rows that one build at the end gives. The folder is replaced whole: the old segments go over as hard links, or
small ones as one file (merging.py). A changed rule, or a lake made from scratch, gives features made from scratch.
"""

import os
import time
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb

from bidrec.config import Config
from bidrec.contract import TABLES
from bidrec.errors import ContractError, InputMissing
from bidrec.features.company import write_companies
from bidrec.features.market import STATE_TYPES, read_market
from bidrec.features.merging import PARQUET, merge
from bidrec.lake.parts import OWN, newest_reading, open_lake
from bidrec.operations import log
from bidrec.runs import recipe
from bidrec.sql.watched import watched
from bidrec.sql.words import literal, quoted, types_of
from bidrec.sql.workspace import workspace
from bidrec.storage.intact import require_intact, sweep_unnamed
from bidrec.storage.locks import one_job_at_a_time
from bidrec.storage.sealed import FORMAT_VERSION, MANIFEST, fingerprint, read_manifest, write_json
from bidrec.storage.sums import facts_of
from bidrec.storage.whole import sweep, whole_folder, writing

EVENT_TIMES = {
    "notice": "published_at",
    "notice_status": "known_at",
    "company_profile": "known_at",
    "bid_log": "known_at",
    "company_activity": "known_at",
    "company_history": "known_at",
    "company_state": "known_at",
}
"""The feature tables, each with the time from which on a row is known; company_state is for the next build alone."""

SPILL = "features-spill"
_BEGINNING, _END = "0001-01-01T00:00:00+00:00", "9999-12-31T00:00:00+00:00"
# Lake table -> feature table that carries a source's own columns, and what its SQL reads.
_CARRIED = {"notice": ("notice", "known_notice"), "company": ("company_profile", "lake_company_stood")}
_OURS = (*OWN, "is_publication")
_logger = log.get("features")


def build_features(config: Config, *, run_rows: int = 100_000) -> dict[str, Any]:
    """Bring the feature tables up to the lake and return their manifest.

    Adds a segment of what is new; made from scratch where the rules have changed, or the lake was.
    `run_rows`: about how many bids are worked on at a time, which bounds memory. Raises InputMissing (66) without a
    lake, ContractError (65) where a source's own column has the name of a feature, or what is read is damaged,
    CannotWrite (73), Interrupted (75) where another build is at work for longer than config.wait_seconds.
    """
    with one_job_at_a_time(config.home_path, "features", config.wait_seconds):
        return _build(config, run_rows)


def _build(config: Config, run_rows: int) -> dict[str, Any]:
    started = time.monotonic()
    home, target = config.home_path, config.home_path / "features"
    lake = read_manifest(home / "lake")
    if lake is None:
        raise InputMissing(f"no lake in {home}", hint="run: bidrec ingest")
    made_by, parts = _recipe(run_rows), _parts(lake)
    before = read_manifest(target)
    known_until = _known_until(home, lake)
    same = before and (before.get("recipe"), before.get("parts")) == (made_by, parts)
    if before and same and not _has_come(lake, before["known_until"], known_until):
        for litter in ("features", SPILL):
            sweep(home, litter)  # killed after the last rename
        with writing(target):
            sweep_unnamed(target, EVENT_TIMES)  # Feast reads a table by a pattern of files
        _logger.info("features are up to date")
        return before
    if before and before.get("recipe") != made_by:
        _logger.info("the rules of the features are others than those they were made by: they are made anew")
        before = None
    if before and not _continues(parts, before["parts"]):
        before = None
    with (
        whole_folder(target) as folder,
        workspace(config, SPILL) as (connection, _),
        writing(target, begun=folder),
    ):
        known = {"known_after": before["known_until"] if before else _BEGINNING, "known_until": known_until}
        require_intact(home / "lake")
        _open(connection, home / "lake", known)
        held = _take_over(target, folder, before)
        if before:
            require_intact(target, [*held["notice"], *held["company_state"]])
        build = before["build"] + 1 if before else 1
        tables = _write_segment(connection, folder, f"{build:06d}.parquet", held, run_rows)
        if before and tables:  # without news the files stay as they are: a training knows its data by them
            before = merge(connection, target, folder, build, before)
        manifest = {
            "format": FORMAT_VERSION,
            "kind": "features",
            "recipe": made_by,
            "build": build,
            "parts": parts,
            "known_until": known_until,
            **_facts(connection, folder, tables, before),
        }
        write_json(folder / MANIFEST, manifest)
    rows = {name: entry["rows"] for name, entry in manifest["tables"].items()}
    _logger.info("features written", **rows, new=before is None, seconds=round(time.monotonic() - started, 1))
    return manifest


def _text(name: str) -> str:
    return files("bidrec.features").joinpath(name).read_text(encoding="utf-8")


def _recipe(run_rows: int) -> str:
    """Fingerprint of all that decides what is made of a lake."""
    return fingerprint({"rules": recipe.of(recipe.FEATURES), "parquet": PARQUET, "run_rows": run_rows})


def _parts(lake: dict[str, Any]) -> dict[str, list[str]]:
    """Table -> the sums of its parts, in order."""
    return {table: [part["sha256"] for part in lake["parts"][table]] for table in TABLES}


def _continues(parts: dict[str, list[str]], before: dict[str, list[str]]) -> bool:
    """Whether a lake of these parts is the one before, and more."""
    return all(parts[table][: len(before[table])] == before[table] for table in TABLES)


def _known_until(home: Path, lake: dict[str, Any]) -> str:
    """Until when the lake knows everything; a row that is known only later waits for a later build."""
    return str(newest_reading(home, lake).get("read_at") or _END)


def _has_come(lake: dict[str, Any], known_until: str, now_known_until: str) -> bool:
    """Whether what the lake held for a moment after `known_until` may have become known by the other one."""
    ranges = [table["range"] for table in lake.get("tables", {}).values()]
    ends = [datetime.fromisoformat(last) for one in ranges for _, last in one.values() if last]
    before, now = datetime.fromisoformat(known_until), datetime.fromisoformat(now_known_until)
    return before < now and any(end > before for end in ends)


def _open(connection: duckdb.DuckDBPyConnection, folder: Path, known: dict[str, str]) -> None:
    """The lake's views, the bounds of what is news, and known_notice.

    Raises ContractError (65) where a column that a source added has the name of a feature: DuckDB would rename one
    without a word.
    """
    lake = open_lake(connection, folder)
    for name, moment in known.items():
        connection.execute(f"SET VARIABLE {name} = {literal(moment)}::TIMESTAMPTZ")
    connection.execute(f"SET VARIABLE first_part = {lake['parts']['bid'][0]['part']}")
    connection.execute(_text("macros.sql"))
    connection.execute(_text("known.sql"))
    for name, (feature_table, relation) in _CARRIED.items():
        canonical = [column.name for column in TABLES[name].columns]
        given = types_of(connection, relation)
        added = {column.lower() for column in given} - {*canonical, *_OURS}
        columns = ", ".join(quoted(column) for column in given if column.lower() not in added)
        features = types_of(
            connection,
            f"(WITH {relation} AS (SELECT {columns} FROM {relation}) SELECT * FROM ({_text(f'{feature_table}.sql')}))",
        )
        if twice := added & {*features}:
            raise ContractError(
                f"{name}: the source has a column of its own named like a feature: {', '.join(sorted(twice))}",
                hint="rename it in the source's SQL",
            )


def _take_over(target: Path, folder: Path, before: dict[str, Any] | None) -> dict[str, list[str]]:
    """Link the segments there are into the new folder; returns table -> their names."""
    held: dict[str, list[str]] = {}
    for table in EVENT_TIMES:
        held[table] = [segment["file"] for segment in before["tables"][table]["segments"]] if before else []
        (folder / table).mkdir()
        for file in held[table]:
            os.link(target / file, folder / file)
    return held


def _write_segment(
    connection: duckdb.DuckDBPyConnection, folder: Path, file: str, held: dict[str, list[str]], run_rows: int
) -> dict[str, str]:
    """Write what is new; returns table -> the new file, of those that have any row or would have no file at all."""

    def copy(table: str) -> None:
        with watched(connection, _logger, f"writing {table}"):
            connection.execute(f"COPY ({_text(f'{table}.sql')}) TO {literal(str(folder / table / file))} ({PARQUET})")

    for table in ("notice", "notice_status", "company_profile"):
        copy(table)
    notices = ", ".join(literal(str(folder / one)) for one in (*held["notice"], f"notice/{file}"))
    connection.execute(f"CREATE TEMP VIEW notice_table AS FROM read_parquet([{notices}])")
    if held["company_state"]:
        states = ", ".join(literal(str(folder / one)) for one in held["company_state"])
        connection.execute(f"CREATE TEMP VIEW company_state AS FROM read_parquet([{states}])")
    else:
        columns = ", ".join(f"{name} {kind}" for name, kind in STATE_TYPES.items())
        connection.execute(f"CREATE TEMP TABLE company_state ({columns})")
    for statement in connection.extract_statements(_text("market.sql")):
        with watched(connection, _logger, "finding what is new of bids"):
            connection.execute(statement)
    copy("bid_log")
    write_companies(connection, read_market(connection), _text("company_activity.sql"), folder, file, run_rows)
    written = {}
    for table in EVENT_TIMES:
        rows = connection.execute(f"SELECT count(*) FROM {_rows(folder / table / file)}").fetchall()[0][0]
        if rows or not held[table]:
            written[table] = f"{table}/{file}"
        else:
            (folder / table / file).unlink()
    return written


def _facts(
    connection: duckdb.DuckDBPyConnection, folder: Path, written: dict[str, str], before: dict[str, Any] | None
) -> dict[str, Any]:
    """The manifest's tables (segments, rows, first and last time in them) and files."""
    tables: dict[str, Any] = dict(before["tables"]) if before else {}
    sums: dict[str, Any] = dict(before["files"]) if before else {}
    for table, file in written.items():
        time_column = EVENT_TIMES[table]
        rows, first, last = connection.execute(
            f"SELECT count(*), min({time_column})::VARCHAR, max({time_column})::VARCHAR FROM {_rows(folder / file)}"
        ).fetchall()[0]
        held = tables.get(table, {"segments": [], "rows": 0, "range": {time_column: []}})
        ends = [moment for moment in (*held["range"][time_column], first, last) if moment]
        tables[table] = {
            "segments": [*held["segments"], {"file": file, "rows": rows}],
            "rows": held["rows"] + rows,
            "range": {time_column: [min(ends, default=None), max(ends, default=None)]},
        }
        sums[file] = facts_of(folder / file)
    return {"tables": tables, "files": dict(sorted(sums.items()))}


def _rows(path: Path) -> str:
    return f"read_parquet({literal(str(path))})"
