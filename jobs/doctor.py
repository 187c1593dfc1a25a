"""bidrec doctor: what this machine has, what it lacks, and how to mend it. Leaves nothing behind."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bidrec import machine
from bidrec.config import Config
from bidrec.errors import BidrecError, CannotWrite, DependencyDown, InputMissing
from bidrec.locks import is_held
from bidrec.runs import all_runs
from bidrec.sealed import read_manifest
from bidrec.sources import reached
from jobs.options import command
from jobs.output import Result

_FEAST = "0.67"
"""The one whose stores and registry bidrec's are made for."""
_PAIRS = {"2.13": "1.8"}
"""torch -> the torchrec and fbgemm built against it."""
_LEAST_MEMORY_GB = 4
_LEAST_DISK_GB = 5
_MEND_STACK = "run `make setup`"
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
    checks = (_python, _stack, _gpu, _duckdb, _feast, _cores, _memory, _disk, _home, _health, _source)
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
        yield Finding("home", "ok", str(home))
    except OSError as error:
        mend = "set BIDREC_HOME to a folder this user may write"
        yield Finding("home", "fail", f"{home}: {error.strerror}", mend)


def _existing(home: Path) -> Path:
    """The home, or the folder it will be made in."""
    return next(folder for folder in (home, *home.parents) if folder.exists())


def _health(config: Config) -> Iterator[Finding]:
    """What is in the home can be read, and what is published is there."""
    home = config.home_path
    for box in ("lake", "features", "published/current"):
        folder = home / box
        try:
            if folder.is_symlink() and not folder.exists():
                yield Finding("health", "fail", f"{box} points at nothing", "bidrec write-back publishes anew")
            elif folder.is_dir() and read_manifest(folder) is None and any(folder.iterdir()):
                yield Finding("health", "warn", f"{box} is unfinished", "run again the command that writes it")
        except BidrecError as error:
            yield Finding("health", "fail", error.message, f"move {folder} away, and run what writes it again")
    at_work = is_held(home, "train")
    for run in all_runs(home):
        try:
            unfinished = not run.finished
        except BidrecError as error:
            yield Finding("health", "fail", error.message, f"move {run.folder} away, or restore it from a copy")
            continue
        if unfinished and not at_work:
            mend = "bidrec train goes on with it where nothing has changed; bidrec runs prune deletes it"
            yield Finding("health", "warn", f"run {run.id} is unfinished", mend)


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
