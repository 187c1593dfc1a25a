"""The home on disk: whole-or-not-at-all writes, manifests, fingerprints.

A box of the data flow (lake, features, training set, run, published) is a folder. It is written to a temporary
sibling, synced, and renamed into place; `manifest.json` is written last, so a folder without one is unfinished.
"""

import ctypes
import fcntl
import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bidrec.errors import CannotWrite, InputMissing

MANIFEST = "manifest.json"
FORMAT_VERSION = 1
PARTIAL = ".partial"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write below `path` into CannotWrite (73), which names it."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FileNotFoundError) and error.filename and not _along(Path(error.filename), path):
            raise  # something that is read, elsewhere
        raise CannotWrite(
            f"cannot write {path}: {error.strerror or error}", hint="check space and permission"
        ) from error


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yield an empty temporary sibling; on success it replaces `target`, on failure nothing is left.

    Raises CannotWrite where the disk refuses.
    """
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield staging
        with writing(target):
            staging.chmod(0o755)
            for file in sorted(staging.rglob("*")):
                if file.is_file():
                    file.chmod(0o644)  # some writers make private files, which a job under another uid cannot resume
                    sync(file)
            _replace(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Yield an empty temporary sibling; on success it replaces `target`, on failure nothing is left.

    A writer that was killed leaves its sibling; the next one of the same target sweeps it. That of a living writer is
    locked, and stays. Raises CannotWrite where the disk refuses.
    """
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=PARTIAL, dir=target.parent)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    partial = Path(name)
    try:
        yield partial
        with writing(target):
            partial.chmod(0o644)
            sync(partial)
            os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
        os.close(descriptor)


def write_text(target: Path, text: str) -> None:
    """Write one file whole."""
    with whole_file(target) as partial, writing(target):
        partial.write_text(text, encoding="utf-8")


def write_json(target: Path, value: Any) -> None:
    """Write `value` as one readable JSON file, whole."""
    write_text(target, json.dumps(value, ensure_ascii=False, indent=1, default=str) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; InputMissing (66) names a file that is not there or cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputMissing(f"cannot read {path}: {error}") from error


def write_manifest(folder: Path, **facts: Any) -> dict[str, Any]:
    """Write the folder's manifest, with the size and SHA-256 of every file in it. Returns what was written."""
    files = {
        str(file.relative_to(folder)): facts_of(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    }
    manifest = {"format": FORMAT_VERSION, **facts, "files": files}
    write_json(folder / MANIFEST, manifest)
    return manifest


def facts_of(file: Path) -> dict[str, Any]:
    """What a manifest says of a file: its size and SHA-256."""
    return {"bytes": file.stat().st_size, "sha256": sha256(file)}


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The folder's manifest, or None where the folder is absent or unfinished."""
    path = folder / MANIFEST
    return read_json(path) if path.is_file() else None


def is_whole(folder: Path) -> bool:
    """Whether the folder is finished and every file is the one that its manifest speaks of."""
    try:
        manifest = read_manifest(folder)
        return manifest is not None and all(
            sha256(folder / name) == facts["sha256"] for name, facts in manifest["files"].items()
        )
    except Exception:
        return False


def content_of(manifest: dict[str, Any]) -> str:
    """What a box holds, as one fingerprint: the SHA-256 over its files' names and sums."""
    return fingerprint({name: entry["sha256"] for name, entry in manifest["files"].items()})


def fingerprint(value: Any) -> str:
    """16 hex digits of SHA-256 over the value's canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(file: Path) -> None:
    """Have the disk keep the file's content; of a folder, its entries."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(target: Path) -> None:
    for stale in target.parent.glob(f".{glob.escape(target.name)}.*{PARTIAL}"):
        with stale.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            stale.unlink(missing_ok=True)


def _along(one: Path, other: Path) -> bool:
    """Whether one of the paths lies in the other."""
    return one.is_relative_to(other) or other.is_relative_to(one)


def _replace(staging: Path, target: Path) -> None:
    """Rename `staging` to `target`. What was there takes the other name, in one step where the system can.

    Where it cannot, it is moved aside first (a rename cannot replace a full folder): killed in between, there is none.
    """
    if not target.exists():
        os.rename(staging, target)
    elif not _exchange(staging, target):
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
        os.rename(target, aside / target.name)
        os.rename(staging, target)
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Have two paths change names in one step; False where the system or the disk does not know how."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except AttributeError:
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of linux/fs.h
    return rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0
