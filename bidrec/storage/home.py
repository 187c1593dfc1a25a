"""Whether a folder may become a home, or be replaced: nobody else's files may lie where bidrec replaces and sweeps.

Reads   HOME/lake, features, runs, published, quarantine, by what each of bidrec's own has in it
"""

from pathlib import Path

from bidrec.errors import BidrecError, ConfigurationError
from bidrec.storage.sealed import read_json, read_manifest

OWN = {
    "lake": "manifest.json",
    "features": "manifest.json",
    "runs": "*/config.json",
    "published": "*/manifest.json",
    "quarantine": "*/manifest.json",
}
"""Box -> the file, written by bidrec, that says that the box is."""


def require_own(home: Path) -> None:
    """For a job that is about to write in the home. One in which a job has been, as its lock tells, is a home.

    Raises ConfigurationError (64) where a box of it holds something else.
    """
    if any(home.glob(".*.lock")):
        return
    foreign = [name for name, mark in OWN.items() if not _is_own(home / name, mark)]
    if foreign:
        raise ConfigurationError(
            f"{home} is no home of bidrec, and its {', '.join(foreign)} would be lost",
            hint="give bidrec a folder of its own: home in the configuration, or BIDREC_HOME",
        )


def require_replaceable(folder: Path, kind: str) -> None:
    """That a folder which a user has named is absent, empty or a box of that kind: `whole_folder` replaces all of it.

    Raises ConfigurationError (64)."""
    try:
        own = (read_manifest(folder) or {}).get("kind") == kind
    except BidrecError:
        own = False
    if not own and folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ConfigurationError(f"{folder} holds something else, and would be replaced", hint="name a new folder")


def _is_own(box: Path, mark: str) -> bool:
    if not box.is_dir() or not any(box.iterdir()):
        return True
    return any(_is_sealed(file) for file in box.glob(mark))


def _is_sealed(file: Path) -> bool:
    try:
        read_json(file)
    except BidrecError:
        return False
    return True
