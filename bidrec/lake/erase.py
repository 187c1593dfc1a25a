"""Erasing companies and notices from a lake: their rows go, and everybody else's stay as they were, with their times.

Reads   lake/ and quarantine/
Writes  for each table that loses rows lake/<table>/merged-NNNNNN.parquet, with all that is left of it, part after part
        (NNNNNN is the next number of an ingest), and the manifest; quarantine/NNNNNN anew

The manifest is replaced in one rename: killed at any moment, the lake is as it was, or without the rows, and then also
knows what it is not to take in again. A part that lost rows has another sum, so the features are made anew.
"""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb

from bidrec.config import Config
from bidrec.contract import TABLES
from bidrec.errors import InputMissing
from bidrec.lake import erased
from bidrec.lake.erased import Keys, held_in, of_keys
from bidrec.lake.merging import put_together
from bidrec.lake.parts import PART, extent, merged_file, newest_reading, open_lake, take_in
from bidrec.sql.words import literal, types_of
from bidrec.sql.workspace import workspace
from bidrec.storage.intact import require_intact, sweep_unnamed
from bidrec.storage.locks import one_job_at_a_time
from bidrec.storage.sealed import MANIFEST, read_manifest, write_json, write_manifest
from bidrec.storage.whole import sweep, whole_folder, writing

_STAGING = "erase"


def erase_from_lake(config: Config, keys: Keys) -> dict[str, int]:
    """Take the rows of these keys out of lake and quarantine, and never in again; returns table -> rows it lost.

    Raises InputMissing (66) without a lake, ContractError (65) where it is damaged, CannotWrite (73), Interrupted (75)
    where an ingest or a build of the features is at work for longer than config.wait_seconds.
    """
    home = config.home_path
    with ExitStack() as alone:
        for box in ("ingest", "features"):
            alone.enter_context(one_job_at_a_time(home, box, config.wait_seconds))
        with workspace(config, _STAGING) as (connection, staging):
            if read_manifest(home / "lake"):
                require_intact(home / "lake")
            manifest = open_lake(connection, home / "lake")
            lost = {table: _count(connection, f"lake_{table}", keys) for table in TABLES}
            listed = erased.with_keys(manifest.get("erased") or {}, keys)
            if any(lost.values()) or listed != manifest.get("erased"):
                _write(connection, home, staging, keys, lost, manifest | {"erased": listed})
            with writing(home / "lake"):
                sweep_unnamed(home / "lake", TABLES)
            for folder in sorted((home / "quarantine").glob("*/")):
                _erase_quarantined(connection, folder, keys)
            sweep(home / "quarantine")
    return lost


def take_in_again(config: Config, keys: Keys) -> None:
    """Let the next ingest take in what the source gives of these keys. Raises as `erase_from_lake`, and InputMissing
    (66) where one of them is not erased."""
    home = config.home_path
    with one_job_at_a_time(home, "ingest", config.wait_seconds), workspace(config, _STAGING) as (connection, staging):
        manifest = open_lake(connection, home / "lake")
        listed = manifest.get("erased") or {}
        if strange := [key for column in keys for key in keys[column] if not erased.is_erased(listed, column, key)]:
            raise InputMissing(f"not erased from {home}: {', '.join(sorted(strange)[:5])}", hint="nothing was changed")
        manifest |= {"erased": erased.without_keys(listed, keys)}
        _write(connection, home, staging, {}, {}, manifest, inputs=None)  # dumps are read, changed or not


def _write(
    connection: duckdb.DuckDBPyConnection,
    home: Path,
    staging: Path,
    keys: Keys,
    lost: dict[str, int],
    manifest: dict[str, Any],
    **changes: Any,
) -> None:
    """The manifest of a lake without the keys' rows, with what was noted of the last reading, and its files."""
    number, lake = manifest["ingest"] + 1, home / "lake"
    read = newest_reading(home, manifest)
    reading = {name: read[name] for name in ("read_at", "inputs", "given") if name in read}
    parts, files, tables = dict(manifest["parts"]), dict(manifest["files"]), dict(manifest["tables"])
    for table in (name for name, rows in lost.items() if rows):
        name, stays = merged_file(table, number), f"NOT {of_keys(keys, types_of(connection, f'lake_{table}'))}"
        put_together(connection, lake, staging, number, table, parts[table], where=stays)
        files = {file: facts for file, facts in files.items() if not file.startswith(f"{table}/")}
        files[name] = take_in(lake, staging, name)
        left = f"(FROM {literal(str(lake / name))})"
        rows = dict(connection.execute(f"SELECT {PART}, count(*) FROM {left} GROUP BY {PART}").fetchall())
        parts[table] = [
            part | {"file": name, "rows": rows.get(part["part"], 0), "sha256": files[name]["sha256"]}
            for part in parts[table]
        ]
        tables[table] = tables[table] | extent(connection, TABLES[table], left)
    spent = [one for one in manifest.get("spent", []) if one["file"] in files]
    now = manifest | reading | {"ingest": number, "parts": parts, "tables": tables, "spent": spent, "files": files}
    write_json(lake / MANIFEST, now | changes)


def _count(connection: duckdb.DuckDBPyConnection, rows: str, keys: Keys) -> int:
    there = types_of(connection, rows)
    return int(connection.execute(f"SELECT count(*) FROM {rows} WHERE {of_keys(keys, there)}").fetchall()[0][0])


def _erase_quarantined(connection: duckdb.DuckDBPyConnection, folder: Path, keys: Keys) -> None:
    """Without the rows of the keys. How many were bad, and why, stays: the share of bad rows is judged by it."""
    held = [file for file in sorted(folder.glob("*.parquet")) if held_in(connection, file, keys)]
    manifest = read_manifest(folder)
    if not held or manifest is None:
        return
    with whole_folder(folder) as staging:
        for file in folder.glob("*.parquet"):
            if file not in held:
                os.link(file, staging / file.name)
                continue
            rows = f"read_parquet({literal(str(file))})"
            left = f"FROM {rows} WHERE NOT {of_keys(keys, types_of(connection, f'(FROM {rows})'))}"
            connection.execute(f"COPY ({left}) TO {literal(str(staging / file.name))} (COMPRESSION zstd)")
        write_manifest(staging, kind="quarantine", tables=manifest["tables"])
