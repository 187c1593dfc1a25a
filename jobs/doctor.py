"""bidrec doctor: what this machine has, what it lacks, and how to mend it. Leaves nothing behind."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bidrec.config import Config
from bidrec.errors import BidrecError, CannotWrite, DependencyDown, InputMissing
from bidrec.operations import machine
from bidrec.runs.found import all_runs, newest, published_run
from bidrec.sources import reached
from bidrec.storage.home import require_volume
from bidrec.storage.locks import is_held, one_job_at_a_time
from bidrec.storage.refusals import is_full
from bidrec.storage.sealed import read_manifest
from bidrec.storage.whole import MAKE_ROOM, give_back, working_folder
from jobs.options import command
from jobs.output import Result

_FEAST = "0.67"
"""The one whose stores and registry bidrec's are made for."""
_PAIRS = {"2.13": "1.8"}
"""torch -> the torchrec and fbgemm built against it."""
_LEAST_MEMORY_GB = 4
_LEAST_DISK_GB = 5
_MEND_STACK = "run `make setup`"
_UPGRADED = "bidrec train makes one; until then write-back refuses, and what is published stays"
_ANEW = {
    "lake": "restore it from a backup; bidrec ingest --force begins one without what the source no longer gives",
    "features": "move it away; bidrec train or bidrec write-back makes it anew of the lake",
    "published/current": "bidrec write-back publishes anew",
}
"""Box -> how it comes to be whole again."""
_MARKS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}


@dataclass(frozen=True)
class Finding:
    what: str
    state: str
    """ok, warn or fail."""
    found: str
    mend: str = ""
    """What to do about it."""


@command
def doctor(config: Config) -> Result:
    """Look at this machine and say what is missing."""
    checks = (_python, _stack, _gpu, _duckdb, _feast, _cores, _memory, _disk, _home, _boxes, _runs, _newest, _source)
    findings = [finding for check in checks for finding in check(config)]
    return Result(
        data={"ok": all(f.state != "fail" for f in findings), "checks": [asdict(f) for f in findings]},
        text="\n".join(_line(finding) for finding in findings),
        exit_code=_exit_code(findings),
    )


def _line(finding: Finding) -> str:
    mend = f"  -> {finding.mend}" if finding.mend else ""
    return f"{_MARKS[finding.state]}  {finding.what:<8} {finding.found}{mend}"


def _exit_code(findings: list[Finding]) -> int:
    failed = {finding.what for finding in findings if finding.state == "fail"}
    if not failed:
        return 0
    if failed == {"home"}:
        return CannotWrite.exit_code
    return InputMissing.exit_code if failed <= {"source", "health"} else DependencyDown.exit_code


def _python(config: Config) -> Iterator[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    fits = sys.version_info[:2] == (3, 11)
    yield Finding("python", "ok" if fits else "fail", found, "" if fits else "the pinned stack needs Python 3.11")


def _stack(config: Config) -> Iterator[Finding]:
    """torch, torchrec and fbgemm import, and are versions that were built for each other."""

    def lookup() -> str:
        import fbgemm_gpu
        import torch
        import torchrec

        pair = next((pair for torch_version, pair in _PAIRS.items() if torch.__version__.startswith(torch_version)), "")
        names = f"torch {torch.__version__}, torchrec {torchrec.__version__}, fbgemm {fbgemm_gpu.__version__}"
        if not pair or not torchrec.__version__.startswith(pair) or not fbgemm_gpu.__version__.startswith(pair):
            raise ImportError(f"{names} do not belong together")
        torch.ops.fbgemm.asynchronous_complete_cumsum(torch.ones(1, dtype=torch.int32))
        return names

    yield _tried("stack", lookup)


def _gpu(config: Config) -> Iterator[Finding]:
    try:
        import torch

        found = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    except Exception:
        return  # said by _stack
    if found == "none" and config.training.device == "cuda":
        yield Finding("gpu", "fail", found, "set training.device to 'auto' or 'cpu'")
    elif found != "none" and _missing("fbgemm-gpu"):
        yield Finding("gpu", "warn", f"{found}, but fbgemm is the CPU build", "run `make setup DEVICE=cuda`")
    else:
        yield Finding("gpu", "ok", found)


def _missing(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return True
    return False


def _duckdb(config: Config) -> Iterator[Finding]:
    def lookup() -> str:
        import duckdb

        duckdb.sql("SELECT 1").fetchall()
        return duckdb.__version__

    yield _tried("duckdb", lookup)


def _feast(config: Config) -> Iterator[Finding]:
    """Feast is there; it is not imported, which would take longer than everything else here."""
    finding = _tried("feast", lambda: version("feast"))
    if finding.state == "ok" and not finding.found.startswith(f"{_FEAST}."):
        finding = Finding("feast", "fail", f"{finding.found}, not {_FEAST}", _MEND_STACK)
    yield finding


def _tried(what: str, lookup: Callable[[], str]) -> Finding:
    try:
        return Finding(what, "ok", lookup())
    except PackageNotFoundError:
        return Finding(what, "fail", "not installed", _MEND_STACK)
    except FileNotFoundError as error:  # what torch looks for when it is imported
        return Finding(what, "fail", str(error), "let this user write to /tmp, or to another folder named by TMPDIR")
    except Exception as error:  # a broken shared library raises anything
        return Finding(what, "fail", " ".join(str(error).split()), _MEND_STACK)


def _cores(config: Config) -> Iterator[Finding]:
    yield Finding("cores", "ok", str(machine.cores()))


def _memory(config: Config) -> Iterator[Finding]:
    yield _at_least("memory", machine.memory(), _LEAST_MEMORY_GB, "give the job more memory")


def _disk(config: Config) -> Iterator[Finding]:
    place = _existing(config.home_path)
    yield _at_least("disk", shutil.disk_usage(place).free, _LEAST_DISK_GB, f"make room at {place}")


def _at_least(what: str, size: int, wanted_gb: int, mend: str) -> Finding:
    found = f"{size / 2**30:.1f} GB"
    if size >= wanted_gb * 2**30:
        return Finding(what, "ok", found)
    return Finding(what, "warn", found, f"{mend}: {wanted_gb} GB are wanted for more than the demo")


def _home(config: Config) -> Iterator[Finding]:
    home = config.home_path
    try:
        with tempfile.TemporaryFile(dir=_existing(home)) as probe:
            probe.write(b"probe")
        shut = next(
            (folder for folder in (*home.glob("*/"), *home.glob("*/*/")) if not os.access(folder, os.W_OK)), None
        )
        if shut:
            found = f"{shut} may not be written and belongs to user {shut.stat().st_uid}"
            yield Finding("home", "fail", found, give_back())
        elif unable := _unable(home):
            yield Finding("home", "fail", unable.message, unable.hint or "")
        else:
            yield Finding("home", "ok", str(home))
    except OSError as error:
        mend = MAKE_ROOM if is_full(error.errno) else "set BIDREC_HOME to a folder this user may write"
        yield Finding("home", "fail", f"{home}: {error.strerror}", mend)


def _unable(home: Path) -> BidrecError | None:
    """What speaks against the home's volume, told by what a first job does there; its lock is in another folder."""
    place = _existing(home)
    try:
        require_volume(place)
        with working_folder(place, "doctor") as first, one_job_at_a_time(first, "doctor", 0):
            pass
    except BidrecError as error:
        return error
    return None


def _existing(home: Path) -> Path:
    """The home, or the folder it will be made in."""
    return next(folder for folder in (home, *home.parents) if folder.exists())


def _boxes(config: Config) -> Iterator[Finding]:
    """What is in the home can be read, and is all there."""
    for box, anew in _ANEW.items():
        folder = config.home_path / box
        if folder.is_symlink() and not folder.exists():
            yield Finding("health", "fail", f"{box} points at nothing", anew)
            continue
        try:
            manifest = read_manifest(folder)
        except BidrecError as error:
            yield Finding("health", "fail", error.message, f"move {folder} away, and run what writes it again")
            continue
        if manifest is None and folder.is_dir() and any(folder.iterdir()):
            yield Finding("health", "warn", f"{box} is unfinished", "run again the command that writes it")
        elif manifest and (lacking := _lacking(folder, manifest)):
            yield Finding("health", "fail", f"{lacking} is gone, or not as it was written", anew)


def _lacking(folder: Path, manifest: dict[str, Any]) -> Path | None:
    """The first file of the manifest that is gone or of another size; jobs hold those they read to their sums."""
    for name, entry in manifest.get("files", {}).items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != entry["bytes"]:
            return file
    return None


def _runs(config: Config) -> Iterator[Finding]:
    """Every run can be read, the published one is there, and none was left unfinished."""
    home, at_work = config.home_path, False
    with suppress(BidrecError):  # said of the home
        at_work = is_held(home, "train")
    with suppress(BidrecError):  # said of the box
        published = published_run(home)
        if published and not (home / "runs" / published).is_dir():
            found = f"run {published}, which is published, is gone"
            yield Finding("health", "warn", found, "bidrec write-back publishes with the newest one there is")
    for run in all_runs(home):
        try:
            unfinished = not run.finished
        except BidrecError as error:
            yield Finding("health", "fail", error.message, f"move {run.folder} away, or restore it from a copy")
            continue
        if unfinished and not at_work:
            mend = "bidrec train goes on with it where nothing has changed; bidrec runs prune deletes it"
            yield Finding("health", "warn", f"run {run.id} is unfinished", mend)


def _newest(config: Config) -> Iterator[Finding]:
    """A write-back has a run to publish that this bidrec has made, as after an upgrade it may not."""
    with suppress(BidrecError):  # said of the run
        run = newest(config.home_path)
        if run and not run.of_this_code:
            yield Finding("health", "warn", f"no run was made by this bidrec's code; {run.id} by other", _UPGRADED)


def _source(config: Config) -> Iterator[Finding]:
    """The dumps are there, or the database answers and has the tables."""
    if not config.source.name:
        yield Finding(
            "source", "warn", "none", "set [source] in bidrec.toml (bidrec init writes one) or run `bidrec demo`"
        )
        return
    try:
        yield Finding("source", "ok", reached(config.source))
    except BidrecError as error:
        yield Finding(
            "source", "fail", f"{config.source.name}: {error.message}", error.hint or "bidrec check says more"
        )
