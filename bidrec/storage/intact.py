"""Files held to what their box's manifest says of them: one that was changed since it was written is not read.

Reads   manifest.json of a box, and the files it names

A file that this process has read or written is not read through again for as long as its size and time stay (sums.py).
"""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidrec.errors import BidrecError, ContractError
from bidrec.storage.sealed import read_manifest
from bidrec.storage.sums import of_each, sum_of

if TYPE_CHECKING:
    import pyarrow

_LAKE_ANEW = "begin a lake without what the source no longer gives: bidrec ingest --force"


def require_intact(folder: Path, names: Collection[str] | None = None) -> dict[str, Any]:
    """Hold the folder's files, or those of them in `names`, to their SHA-256; returns the manifest.

    Raises ContractError (65) that names the first file that is gone or another one, or the folder where it has no
    manifest or one that lacks any of the names.
    """
    manifest = read_manifest(folder)
    known = manifest.get("files", {}) if manifest else {}
    if manifest is None or not known.keys() >= set(names or ()):
        raise ContractError(f"{folder} is damaged or unfinished", hint="run again the command that writes it")
    asked = sorted(names if names is not None else known)
    for name, found in zip(asked, of_each(_sum_of, [folder / name for name in asked]), strict=True):
        if found != known[name]["sha256"]:
            if read_manifest(folder) != manifest:
                return require_intact(folder, names)  # who reads takes no lock: the folder was replaced meanwhile
            fault = "it cannot be read" if found is None else "it is not what was written there"
            anew = _LAKE_ANEW if manifest.get("kind") == "lake" else f"delete {folder} and run again what writes it"
            raise ContractError(f"{folder / name} is damaged: {fault}", hint=f"restore it from a copy, or {anew}")
    return manifest


def is_whole(folder: Path) -> bool:
    """Whether the folder is finished and every file is the one that its manifest speaks of."""
    try:
        require_intact(folder)
    except (BidrecError, OSError):
        return False
    return True


def intact_tables(folder: Path, tables: Collection[str]) -> dict[str, list[str]]:
    """Table -> the paths of its files as they were written: those the folder's manifest has below the table's name.

    For a reader who takes no lock: a folder that was replaced meanwhile is read again. Raises ContractError (65) as
    `require_intact` does, also for a table that has no file.
    """
    while True:
        manifest = read_manifest(folder)
        known = manifest.get("files", {}) if manifest else {}
        names = {table: sorted(name for name in known if name.startswith(f"{table}/")) for table in tables}
        try:
            require_intact(folder, [name for table in tables for name in names[table] or [table]])
        except ContractError:
            if read_manifest(folder) == manifest:
                raise
        else:
            return {table: [str(folder / name) for name in names[table]] for table in tables}


def intact_schema(folder: Path, name: str) -> "pyarrow.Schema":
    """The columns of one of the folder's Parquet files, of which only the footer is read. Raises ContractError (65) as
    `require_intact` does where that cannot be."""
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.read_schema(folder / name)
    except (OSError, pyarrow.ArrowException):
        require_intact(folder, [name])
        raise


def sweep_unnamed(folder: Path, tables: Collection[str]) -> None:
    """Delete the tables' files that the folder's manifest does not name: those of a job that was killed, of what was
    replaced, or of a newer state that a backup was unpacked over."""
    manifest = read_manifest(folder)
    named = set(manifest["files"]) if manifest else set()
    for file in folder.glob("*/*.parquet"):
        if file.parent.name in tables and str(file.relative_to(folder)) not in named:
            file.unlink()


def _sum_of(file: Path) -> str | None:
    """Its SHA-256; None where it cannot be read."""
    try:
        return sum_of(file)
    except OSError:
        return None
