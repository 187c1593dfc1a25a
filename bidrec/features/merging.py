"""Many small segments of a feature table in one file: each costs whoever reads the features some milliseconds.

Reads   the segments there are, within a build that adds to them
Writes  FEATURES/<table>/merged-NNNNNN.parquet, NNNNNN the build

The rows are those of the segments, to the bit. Of company_state, in which the next build alone looks, and only for the
newest row of a company, no other is kept.
"""

from pathlib import Path
from typing import Any

import duckdb

from bidrec.lake.merging import LARGE
from bidrec.sql.words import literal
from bidrec.storage.intact import require_intact
from bidrec.storage.sums import facts_of

MOST = 256
"""Small segments of a table that are left apart. Who holds their names while they go has to ask again: so that it comes
seldom, they are many."""
AT_ONCE = 4 * MOST
"""Segments put together in a build, at most: that bounds the memory that their footers take."""
PARQUET = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880"
"""How COPY writes a segment."""
_ORDER = {
    "notice": "published_at, notice_id",
    "notice_status": "notice_id, known_at",
    "company_profile": "company_id, known_at",
    "bid_log": "company_id, known_at, notice_id",
    "company_activity": "company_id, known_at",
    "company_history": "company_id, known_at",
    "company_state": "company_id, known_at",
}
"""Of the rows of a segment, by table."""
_NEWEST = "QUALIFY known_at = max(known_at) OVER (PARTITION BY company_id)"


def merge(
    connection: duckdb.DuckDBPyConnection, target: Path, folder: Path, number: int, before: dict[str, Any]
) -> dict[str, Any]:
    """Put the small segments of each table of which there are too many into one in `folder`, where they go.

    target: the features as they are; folder: those to come, with the same files. number: of the build. Returns the
    manifest `before` as it would be of the segments that are left. Raises ContractError (65) where one of them is
    damaged, CannotWrite (73).
    """
    tables, files = dict(before["tables"]), dict(before["files"])
    for table, order in _ORDER.items():
        segments = tables[table]["segments"]
        names, merged = too_many(segments), f"{table}/merged-{number:06d}.parquet"
        if not names:
            continue
        require_intact(target, names)
        rows = f"FROM read_parquet([{', '.join(literal(str(folder / name)) for name in names)}])"
        kept = f"{rows} {_NEWEST}" if table == "company_state" else rows
        (written,) = connection.execute(
            f"COPY ({kept} ORDER BY {order}) TO {literal(str(folder / merged))} ({PARQUET})"
        ).fetchall()[0]
        for name in names:
            (folder / name).unlink()
            del files[name]
        files[merged] = facts_of(folder / merged)
        left = [*(one for one in segments if one["file"] in files), {"file": merged, "rows": written}]
        tables[table] = tables[table] | {"segments": left, "rows": sum(one["rows"] for one in left)}
    return before | {"tables": tables, "files": files}


def too_many(segments: list[dict[str, Any]]) -> list[str]:
    """Files of small segments, AT_ONCE at most, if there are more than MOST; otherwise none."""
    small = [one["file"] for one in segments if one["rows"] < LARGE]
    return small[:AT_ONCE] if len(small) > MOST else []
