"""What is in the home says itself whether it is whole: sealed JSON, and the manifest of each box.

A box of the data flow (lake, features, training set, run, published) is a folder. Its `manifest.json` holds the size
and SHA-256 of every file in it, and is written last: a folder without one is unfinished. Each JSON file holds the
format it is in, and a sum over itself.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from bidrec.errors import ContractError, InputMissing
from bidrec.storage.sums import facts_of, of_each
from bidrec.storage.whole import write_text

MANIFEST = "manifest.json"
FORMAT_VERSION = 2
"""Of everything in the home. To be raised where this bidrec cannot read what an older one wrote, or the reverse."""
SEAL = "seal"
"""Key of each JSON file: the format it is in, and the sum over the rest of it."""
_RESTORE = "restore it from a copy, or delete its folder and run again the command that writes it"
_OTHER_VERSION = "use the bidrec that wrote this home, or another home: bidrec ingest and bidrec train fill it anew"


def write_json(target: Path, value: dict[str, Any]) -> None:
    """Write `value` as one readable JSON file, whole and sealed, for `read_json`."""
    plain = json.loads(json.dumps(value, default=str))
    sealed = plain | {SEAL: {"format": FORMAT_VERSION, "sum": fingerprint(plain)}}
    write_text(target, json.dumps(sealed, ensure_ascii=False, indent=1) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """What `write_json` wrote. Raises InputMissing (66) for a file that cannot be read, ContractError (65) for one that
    another version of bidrec wrote, or that was changed since."""
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise InputMissing(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ContractError(f"{path} is damaged: {error}", hint=_RESTORE) from error
    found = value.pop(SEAL, None) if isinstance(value, dict) else None
    seal = found if isinstance(found, dict) else {}
    version = seal.get("format", value.get("format") if isinstance(value, dict) else None)
    if version not in (None, FORMAT_VERSION):
        raise ContractError(
            f"{path} is in format {version!r}, and this bidrec reads format {FORMAT_VERSION}", hint=_OTHER_VERSION
        )
    if found is None:
        raise ContractError(
            f"{path} is damaged, or older than format {FORMAT_VERSION}: it has no seal",
            hint=f"{_RESTORE}; or {_OTHER_VERSION}",
        )
    if seal.get("sum") != fingerprint(value):
        raise ContractError(f"{path} is damaged: it is not what was written there", hint=_RESTORE)
    return value


def write_manifest(folder: Path, **facts: Any) -> dict[str, Any]:
    """Write the folder's manifest, with the size and SHA-256 of every file in it. Returns what was written."""
    found = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != MANIFEST]
    names = (str(file.relative_to(folder)) for file in found)
    files = dict(zip(names, of_each(facts_of, found), strict=True))
    manifest = {"format": FORMAT_VERSION, **facts, "files": files}
    write_json(folder / MANIFEST, manifest)
    return manifest


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The folder's manifest, or None where the folder is absent or unfinished. Raises as `read_json` does."""
    path = folder / MANIFEST
    return read_json(path) if path.exists() or path.is_symlink() else None


def content_of(manifest: dict[str, Any]) -> str:
    """What a box holds, as one fingerprint: the SHA-256 over its files' names and sums."""
    return fingerprint({name: entry["sha256"] for name, entry in manifest["files"].items()})


def fingerprint(value: Any) -> str:
    """16 hex digits of SHA-256 over the value's canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
