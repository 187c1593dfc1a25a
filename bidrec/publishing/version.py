"""A version of published/: written whole, then shown to readers by one link.

Reads   published/, the versions before
Writes  published/<UTC time>-<run's 6 hex>/ and the link published/current
"""

import os
import shutil
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from bidrec.operations import log
from bidrec.publishing.withdrawn import versions, withdrawn
from bidrec.storage.sealed import write_manifest
from bidrec.storage.whole import sweep, sync, whole_folder, writing

CURRENT = "current"
KEPT = 3
"""Versions that stay on disk, the current one included: whoever opened one before a flip can read it to its end."""


def published_folder(home: Path) -> Path:
    """The version that readers see."""
    return home / "published" / CURRENT


def next_moment(before: Mapping[str, Any] | None) -> datetime:
    """Now (UTC), but later than the version whose manifest `before` is, also where the clock was set back."""
    now = datetime.now(UTC)
    return max(now, datetime.fromisoformat(before["written_at"]) + timedelta(microseconds=1)) if before else now


def write_version(
    home: Path,
    tables: Mapping[str, pa.Table],
    describe: Callable[[Path], None],
    *,
    written_at: datetime,
    run: str,
    erased: Mapping[str, Collection[str]] | None = None,
    **facts: Any,
) -> dict[str, Any]:
    """Write the tables, what `describe` adds to the folder, and a manifest with the facts; then flip the link.

    Each table's first column is its key; a key that a version before has and the table lacks is withdrawn,
    unless it is among the `erased` of that column.
    Returns the manifest, and the version's name under `version`. In every case of failure readers keep what they had.
    """
    published = home / "published"
    version = published / f"{written_at:%Y%m%dT%H%M%S%fZ}-{run[-6:]}"
    with writing(published):
        sweep(published)  # a version has a name of its own, which no later one has
    gone = {
        name: withdrawn(name, table, published, written_at, (erased or {}).get(table.column_names[0], ()))
        for name, table in tables.items()
    }
    with whole_folder(version) as staging:
        for name, table in [*tables.items(), *((f"{name}.withdrawn", table) for name, table in gone.items())]:
            parquet.write_table(table, staging / f"{name}.parquet", compression="zstd")
        describe(staging)
        manifest = write_manifest(
            staging,
            kind="published",
            run=run,
            written_at=written_at.isoformat(),
            rows={name: table.num_rows for name, table in tables.items()},
            withdrawn={name: table.num_rows for name, table in gone.items()},
            **facts,
        )
    _flip(published, version.name)
    log.get("write-back").info("published", version=version.name, run=run, as_of=facts.get("as_of"), **manifest["rows"])
    return manifest | {"version": version.name}


def _flip(published: Path, version: str) -> None:
    """Point `current` at the new version in one rename, then drop all but the newest versions."""
    with writing(published):
        link = published / f".{CURRENT}.new"
        link.unlink(missing_ok=True)
        link.symlink_to(version)
        os.replace(link, published / CURRENT)
        sync(published)
    for old in versions(published)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
