"""Whether a folder may become a home: its boxes are replaced and swept, so that nobody else's files may lie in them.

Reads   HOME/lake, features, runs, published, quarantine, by what each of bidrec's own has in it
"""

from pathlib import Path

from bidrec.errors import BidrecError, ConfigurationError
from bidrec.storage import read_json

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
