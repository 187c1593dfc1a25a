"""Many small parts of a table in one file: each file costs whoever reads the lake a millisecond or two, however small.

Reads   the lake there is, within an ingest that adds to it
Writes  STAGING/<table>/merged-NNNNNN.parquet, NNNNNN the ingest, for `parts.add_parts`

A part stays what it was: its number, its rows and the sum that the features know it by. Only the file that its rows are
in is another one, which says of each row what part it is of. Files of about one size are merged, so that a row is
written again a few times in its life, and not once an ingest.
"""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb

from bidrec.contract import TABLES
from bidrec.lake.parts import PART, copy_sorted, merged_file, rows_of

FEW = 16
"""Files of one size that are left apart. So many times larger is another size."""
MOST = 256
"""Files merged at once, which bounds the memory that their footers take."""
LARGE = 100_000
"""Rows of a file that is left as it is: to read it costs more than to find it."""


def merge(
    connection: duckdb.DuckDBPyConnection, lake: Path, staging: Path, number: int, manifest: dict[str, Any]
) -> dict[str, list[int]]:
    """Write one file a table of those that are too many; returns table -> the parts that it holds.

    number: of the ingest; manifest: that of the lake as it is, whose files are intact. Raises CannotWrite (73).
    """
    merged = {}
    for name in TABLES:
        parts = too_many(manifest["parts"][name])
        if parts:
            put_together(connection, lake, staging, number, name, parts)
            merged[name] = [part["part"] for part in parts]
    return merged


def put_together(
    connection: duckdb.DuckDBPyConnection,
    lake: Path,
    staging: Path,
    number: int,
    name: str,
    parts: list[dict[str, Any]],
    where: str = "true",
) -> None:
    """Write the parts of the table `name`, all there are in their files, part after part; of their rows those `where`
    the SQL holds. Raises CannotWrite (73)."""
    in_order = replace(TABLES[name], order=(PART, *TABLES[name].order))
    rows = f"SELECT * FROM ({rows_of(lake, parts)}) WHERE {where}"
    copy_sorted(connection, in_order, rows, staging / merged_file(name, number))


def too_many(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The parts in more than FEW files of one size, the smallest such; none where there are not so many."""
    files: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for part in parts:
        files[part["file"]].append(part)
    sizes: dict[int, list[list[dict[str, Any]]]] = defaultdict(list)
    for held in files.values():
        rows = sum(part["rows"] for part in held)
        if rows < LARGE:
            sizes[_size(rows)].append(held)
    for _, alike in sorted(sizes.items()):
        if len(alike) > FEW:
            return [part for held in alike[:MOST] for part in held]
    return []


def _size(rows: int) -> int:
    """0 for fewer than FEW rows, 1 for up to FEW times as many, and so on."""
    size = 0
    while rows >= FEW:
        rows //= FEW
        size += 1
    return size
