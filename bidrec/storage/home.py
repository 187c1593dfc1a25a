"""Whether a folder may become a home, or be replaced: nobody else's files may lie where bidrec replaces and sweeps,
and its volume must be able to do what the jobs rely on.

Reads   HOME/lake, features, runs, published, quarantine, by what each of bidrec's own has in it
"""

import errno
import os
from pathlib import Path

from bidrec.errors import BidrecError, CannotWrite, ConfigurationError
from bidrec.storage.refusals import APART, UNABLE, way_out
from bidrec.storage.sealed import read_json, read_manifest
from bidrec.storage.whole import working_folder

OWN = {
    "lake": "manifest.json",
    "features": "manifest.json",
    "runs": "*/config.json",
    "published": "*/manifest.json",
    "quarantine": "*/manifest.json",
}
"""Box -> the file, written by bidrec, that says that the box is."""
_OTHER_VOLUME = "put the home on a volume with hard and symbolic links; docs/reliability.md has the kinds"
_FILLED_FROM_HOME = ("lake", "features")
"""Boxes that take in what was written beside them, by a rename or a second name."""
_READ_BY_VIEWS = ("features", "published/current")


def is_begun(home: Path) -> bool:
    """Whether a job has been in it, as its lock tells."""
    return any(home.glob(".*.lock"))


def parted(path: str) -> tuple[str, str, str]:
    """Of a file, or a pattern, that a Feast view reads: its home, the box, what is below it. Three times "", where it
    is in no home."""
    home, box, within = max(path.rpartition(f"/{box}/") for box in _READ_BY_VIEWS)
    return (home, box, within) if home else ("", "", "")


def require_own(home: Path) -> None:
    """For the first job in a home. Raises ConfigurationError (64) where a box of it holds something else."""
    foreign = [name for name, mark in OWN.items() if not _is_own(home / name, mark)]
    if foreign:
        raise ConfigurationError(
            f"{home} is no home of bidrec, and its {', '.join(foreign)} would be lost",
            hint="give bidrec a folder of its own: home in the configuration, or BIDREC_HOME",
        )


def require_volume(home: Path) -> None:
    """For the first job in a home, and for who asks before: tries what later jobs will do, and leaves nothing behind.

    The features of before go over into the new ones as second names of their files, `published/current` is a link, and
    lake and features take in what was written in the home. Raises CannotWrite (73) where its volume cannot do that.
    """
    with working_folder(home, "volume") as probe:
        file = probe / "file"
        file.touch()
        try:
            os.link(file, probe / "second name")
            (probe / "link").symlink_to(file.name)
        except OSError as error:
            if error.errno not in (*UNABLE, errno.EPERM, errno.EINVAL):
                raise
            raise CannotWrite(f"the volume of {home} has no links: {error.strerror}", hint=_OTHER_VOLUME) from error
        for box in filter(Path.is_dir, (home / name for name in _FILLED_FROM_HOME)):
            second = box / probe.name
            try:
                os.link(file, second)
            except OSError as error:
                if error.errno not in APART:
                    raise
                raise CannotWrite(f"{box} is on a volume of its own", hint=way_out(error.errno)) from error
            second.unlink()


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
