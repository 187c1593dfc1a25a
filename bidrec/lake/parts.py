"""The lake: canonical rows in parts that never change, one part of a table an ingest that brought something new.

    lake/manifest.json               which parts there are, and in which files; replaced last, in one rename
    lake/notice/000001.parquet       the first ingest's notices; company/ and bid/ likewise
    lake/bid/000002.parquet          the bids that the second ingest found new or changed
    lake/bid/merged-000040.parquet   small parts that the 40th ingest put into one file (bidrec/lake/merging.py)

    .ingest.json                     beside it: the last reading, where that brought nothing

Reads   lake/, for everybody right of it, and for the next ingest
Writes  the parts, the manifest and the readings without news, for `ingest.py`
"""

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import duckdb

from bidrec.contract import TABLES, Table
from bidrec.errors import InputMissing
from bidrec.sql.words import literal
from bidrec.storage.sealed import FORMAT_VERSION, MANIFEST, read_json, read_manifest, write_json
from bidrec.storage.sums import facts_of
from bidrec.storage.whole import open_to_whom_the_umask_lets, sync, writing

PART = "part"
"""Column of the views that says which ingest wrote the row. Of the files, only those of several parts have it."""
_FILE = "part_file"
"""The file that a row is from, of which the part is made. No file has a column of that name."""
KEPT = 16
"""Ingests for which a file stays whose parts are in another one: whoever opened the lake before finds it there."""
OWN = ("known_at", PART)
"""Columns that no source gives to its notices: known_at, from when on the row was known, is in the notices' files."""
NO_NEWS = ".ingest.json"
"""In the home: when the source was last read, if that brought nothing that the lake's manifest could say."""


def part_file(table: str, number: int) -> str:
    """Path of a part within the lake, or within anything that is laid out like it."""
    return f"{table}/{number:06d}.parquet"


def merged_file(table: str, number: int) -> str:
    """Path within the lake of the parts that the ingest of that number put into one file."""
    return f"{table}/merged-{number:06d}.parquet"


def open_lake(connection: duckdb.DuckDBPyConnection, folder: Path) -> dict[str, Any]:
    """Make the views lake_notice, lake_company and lake_bid over all parts; returns the manifest.

    Each has its file's columns and `part`. lake_notice_now and lake_bid_now have only the newest row of each key;
    lake_notice_stood, lake_company_stood and lake_bid_stood lack the rows that never came true: stated for the future,
    and replaced before it came. lake_reading says when each ingest read (part, read_at).
    An ingest meanwhile takes nothing away from the views, nor do KEPT of them. Raises InputMissing (66) without a lake
    in parts.
    """
    manifest = read_manifest(folder)
    if manifest is None or "parts" not in manifest:
        raise InputMissing(f"no lake in {folder.parent}", hint="run: bidrec ingest")
    for table, parts in manifest["parts"].items():
        connection.execute(f"CREATE OR REPLACE VIEW lake_{table} AS {rows_of(folder, parts)}")
    connection.execute(f"CREATE OR REPLACE VIEW lake_reading AS {_readings(manifest)}")
    for table, parts in manifest["parts"].items():
        connection.execute(f"CREATE OR REPLACE VIEW lake_{table}_stood AS {_stood(table, parts)}")
    for table in ("notice", "bid"):
        connection.execute(f"CREATE OR REPLACE VIEW lake_{table}_now AS {_newest(table, manifest['parts'][table])}")
    return manifest


def newest_reading(home: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """When the lake's source was last read (`read_at`, UTC), and of which `inputs`: it may have brought nothing.

    manifest: that of the lake. Raises ContractError (65) where what is written of it is damaged.
    """
    later = read_json(home / NO_NEWS) if (home / NO_NEWS).is_file() else {}
    return later if later.get("ingest") == manifest["ingest"] else manifest


def add_reading(home: Path, manifest: dict[str, Any], **facts: Any) -> None:
    """Keep that the source was read (`read_at`, `inputs`) and had nothing that this lake does not hold.

    What becomes known with time alone is known by then. Raises CannotWrite (73).
    """
    write_json(home / NO_NEWS, {"ingest": manifest["ingest"], **facts})


def add_parts(
    lake: Path,
    staging: Path,
    number: int,
    rows: dict[str, int],
    before: dict[str, Any] | None,
    merged: Mapping[str, Collection[int]] | None = None,
    **facts: Any,
) -> dict[str, Any]:
    """Take the part `number` of the tables in `rows` from `staging` into the lake; returns the new manifest.

    rows: table -> rows of its new part. before: the manifest whose parts stay; None for a lake that begins with these.
    merged: table -> which of them are in its merged file in `staging` too, and from now on there.
    Killed anywhere, the lake is the old one or the new one: a file that no manifest names is litter, for
    `sweep_unnamed`. Raises CannotWrite (73).
    """
    parts: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES}
    parts |= before["parts"] if before else {}
    files = dict(before["files"]) if before else {}
    spent = [*before.get("spent", [])] if before else []
    for table, numbers in (merged or {}).items():
        name, held = merged_file(table, number), {*numbers}
        files[name] = take_in(lake, staging, name)
        old = dict.fromkeys(part["file"] for part in parts[table] if part["part"] in held)
        spent += [{"file": file, "ingest": number} for file in old]
        parts[table] = [part | {"file": name} if part["part"] in held else part for part in parts[table]]
    for table, number_of_rows in rows.items():
        name = part_file(table, number)
        files[name] = take_in(lake, staging, name)
        entry = {"file": name, "part": number, "rows": number_of_rows, "sha256": files[name]["sha256"]}
        parts[table] = [*parts[table], entry]
    for one in spent:
        if number - one["ingest"] >= KEPT:
            del files[one["file"]]
    manifest = {
        "format": FORMAT_VERSION,
        "kind": "lake",
        "ingest": number,
        **facts,
        "parts": parts,
        "spent": [one for one in spent if one["file"] in files],
        "files": files,
    }
    write_json(lake / MANIFEST, manifest)
    return manifest


def take_in(lake: Path, staging: Path, name: str) -> dict[str, Any]:
    """Move a file into the lake, where nobody reads it before the manifest names it; returns what that says of it."""
    file = lake / name
    with writing(lake):
        file.parent.mkdir(parents=True, exist_ok=True)
        open_to_whom_the_umask_lets(staging / name)
        sync(staging / name)
        os.replace(staging / name, file)
        sync(file.parent)
    return facts_of(file)


def extent(connection: duckdb.DuckDBPyConnection, table: Table, relation: str) -> dict[str, Any]:
    """What a manifest says of a table's rows: how many, and first and last (UTC) of every needed time column and of
    decisions."""
    times = [column.name for column in table.columns if column.type == "TIMESTAMPTZ" and column.needed]
    times += ["decided_at"] if table.name == "bid" else []
    ranges = ", ".join(f"min({name})::VARCHAR, max({name})::VARCHAR" for name in times)
    rows, *ends = connection.execute(f"SELECT count(*), {ranges} FROM {relation}").fetchall()[0]
    span = {name: [first, last] for name, first, last in zip(times, ends[::2], ends[1::2], strict=True)}
    return {"rows": rows, "range": span}


def copy_sorted(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    rows: str,
    file: Path,
    counted: Callable[[str], str] | None = None,
) -> None:
    """Write the SELECT `rows` as Parquet, in the table's total order. Raises CannotWrite (73).

    `counted`: what watched.watched_sort yields, to see how many rows are written.
    """
    ordered, first = f"{rows} ORDER BY {', '.join(table.order)}", table.order[0]
    if counted:
        ordered = f"SELECT * REPLACE ({counted(first)} AS {first}) FROM ({ordered})"
    with writing(file, begun=file):
        file.parent.mkdir(exist_ok=True)
        connection.execute(
            f"COPY ({ordered}) TO {literal(str(file))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
        )


def rows_of(folder: Path, parts: list[dict[str, Any]]) -> str:
    """SELECT of the parts' rows, each with its part; of a file of several, all of them."""
    names = dict.fromkeys(part["file"] for part in parts)
    files = ", ".join(literal(str(folder / name)) for name in names)
    read = f"read_parquet([{files}], union_by_name = true, filename = '{_FILE}')"
    if all(part["file"].endswith(f"/{part['part']:06d}.parquet") for part in parts):
        return f"SELECT * EXCLUDE ({_FILE}), parse_filename({_FILE}, true)::INTEGER AS {PART} FROM {read}"
    by_name = f"TRY_CAST(parse_filename({_FILE}, true) AS INTEGER)"
    return f"SELECT * EXCLUDE ({_FILE}, {PART}), coalesce({PART}, {by_name})::INTEGER AS {PART} FROM {read}"


def _readings(manifest: dict[str, Any]) -> str:
    """SELECT of (part, read_at)."""
    rows = ", ".join(f"({one['ingest']}, {literal(one['read_at'])})" for one in manifest.get("ingests", []))
    given = f"(VALUES {rows})" if rows else "(SELECT NULL, NULL WHERE false)"
    return f"SELECT part::INTEGER AS part, read_at::TIMESTAMPTZ AS read_at FROM {given} AS given(part, read_at)"


def _stood(table: str, parts: list[dict[str, Any]]) -> str:
    """SELECT of the rows but those that a later part replaced before they were known.

    Known at the very moment from which the later part's are, a row was never the newest either.
    """
    if len(parts) < 2:
        return f"SELECT * FROM lake_{table}"
    key = ", ".join(f"later.{name}" for name in TABLES[table].thing)
    same = " AND ".join(f"held.{name} = later.{name}" for name in TABLES[table].thing)
    # Only the later parts can have replaced anything: the hash table is as small as they are.
    return (
        f"WITH replaced AS (SELECT {key}, later.{PART}, "
        "least(any_value(lake_reading.read_at), min(later.known_at) - to_microseconds(1)) AS until "
        f"FROM lake_{table} AS later JOIN lake_reading ON lake_reading.part = later.{PART} "
        f"WHERE later.{PART} > {parts[0]['part']} GROUP BY {key}, later.{PART}) "
        f"SELECT held.* FROM lake_{table} AS held ANTI JOIN replaced AS later "
        f"ON {same} AND held.{PART} < later.{PART} AND held.known_at > later.until"
    )


def _newest(table: str, parts: list[dict[str, Any]]) -> str:
    """SELECT of each key's row of its latest part."""
    if len(parts) < 2:
        return f"SELECT * FROM lake_{table}"
    key = ", ".join(TABLES[table].key)
    # Only the later parts can have replaced anything: the hash table is as small as they are.
    return (
        f"WITH replaced AS (SELECT {key}, max({PART}) AS last FROM lake_{table} WHERE {PART} > {parts[0]['part']} "
        f"GROUP BY {key}) SELECT held.* FROM lake_{table} AS held LEFT JOIN replaced USING ({key}) "
        f"WHERE coalesce(held.{PART} = replaced.last, true)"
    )
