"""The home on disk: files and folders that are there whole or not at all.

Each is written to a temporary sibling, synced, and renamed into place. What of it says that it is whole: sealed.py.
"""

import ctypes
import errno
import fcntl
import glob
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bidrec.errors import CannotWrite
from bidrec.storage.refusals import is_full, refusal, way_out

PARTIAL = ".partial"
"""How the name of a file that is not finished ends: nothing else is ever swept, but for the folder it stands for."""
FOLDER = ".d"
"""What the name of an unfinished folder has besides. The lock lies on the file: NFS locks folders, too, but for the
machine that asks and no other one."""
LISTING_S = 0.2
"""How long a folder stays that another one has replaced: who was just listing it would find a part of its files."""
_asking = threading.Lock()
MAKE_ROOM = "make room on that disk; of a home, most is in its runs: bidrec runs prune --keep 5 deletes the old ones"


@contextmanager
def writing(path: Path, begun: Path | None = None) -> Iterator[None]:
    """Turn the disk's refusal to write below `path` into CannotWrite (73), which names it and how much room there is.

    Whichever library met it (`refusals.py`). begun: what has been written of it so far, which is the least that
    it needs.
    """
    try:
        yield
    except Exception as error:
        number = refusal(error)
        about = [error.filename, error.filename2] if isinstance(error, OSError) else []  # both, of a link or a rename
        named = [Path(os.fsdecode(name)) for name in about if isinstance(name, str | bytes | os.PathLike)]
        if named:
            if not any(_along(name, one) for name in named for one in (path, begun) if one):
                raise  # something that is read, elsewhere
        elif number is None:
            raise
        reason = os.strerror(number) if number else getattr(error, "strerror", None) or str(error)
        room = _room(path, begun) if is_full(number) else ""
        raise CannotWrite(f"cannot write {path}: {reason}{room}", hint=_hint(number)) from error


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yield an empty temporary sibling; on success it replaces `target`, on failure nothing is left.

    A writer that was killed leaves its sibling; the next one of the same target sweeps it, and `sweep` those of targets
    that nobody writes again. That of a living writer is locked, and stays. Raises CannotWrite where the disk refuses.
    """
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _recover(target)
        sweep(target.parent, target.name)
        staging, descriptor = _begun_folder(target)
    try:
        with writing(target, begun=staging):
            yield staging
            open_to_whom_the_umask_lets(staging)
            for file in sorted(staging.rglob("*")):
                # One that was linked in is of an older folder, which has synced it: of those there are thousands.
                if file.is_file() and file.stat().st_nlink == 1:
                    open_to_whom_the_umask_lets(file)
                    sync(file)
            for folder in (*staging.rglob("*/"), staging):
                sync(folder)
            _replace(staging, target)
            sync(target.parent)
    finally:
        _end_folder(staging, descriptor)


@contextmanager
def whole_file(target: Path, *, keep_rights: bool = False) -> Iterator[Path]:
    """Yield an empty temporary sibling; on success it replaces `target`, on failure nothing is left.

    What a killed writer leaves is swept as that of `whole_folder` is. `keep_rights`: who may read the file that was
    there may read the new one, and nobody else; otherwise the umask says who may. Raises CannotWrite where the disk
    refuses, or where `target` is there and no file.
    """
    with writing(target):
        _refuse_device(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent, target.name)
        partial, descriptor = _locked(target)
    try:
        with writing(target, begun=partial):
            yield partial
            if keep_rights and target.exists():
                _give_the_rights_of(target, partial)
            else:
                open_to_whom_the_umask_lets(partial)
            sync(partial)
            os.replace(partial, target)
            sync(target.parent)
    finally:
        partial.unlink(missing_ok=True)
        os.close(descriptor)


@contextmanager
def working_folder(home: Path, name: str) -> Iterator[Path]:
    """A folder `.NAME.xxx.partial` in the home for what is not to stay, gone afterwards.

    What killed jobs have left of that name is swept first. Raises CannotWrite where the disk refuses.
    """
    with writing(home):
        home.mkdir(parents=True, exist_ok=True)
        sweep(home, name)
        folder, descriptor = _begun_folder(home / name)
    try:
        with writing(folder, begun=folder):
            yield folder
    finally:
        _end_folder(folder, descriptor)


def sweep(folder: Path, name: str | None = None) -> None:
    """Delete what killed writers have left of the target `name` in this folder; None: of any target."""
    of = glob.escape(name) if name is not None else "*"
    for stale in folder.glob(f".{of}.*{PARTIAL}"):
        if stale.is_symlink():
            continue  # no writer makes one
        is_folder = stale.is_dir()
        try:
            descriptor = os.open(stale, (os.O_RDONLY if is_folder else os.O_RDWR) | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue  # swept by another one
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pass  # somebody is writing it
        else:
            _remove(stale)
        finally:
            os.close(descriptor)


def write_text(target: Path, text: str) -> None:
    """Write one file whole."""
    with whole_file(target) as partial:
        partial.write_text(text, encoding="utf-8")


def open_to_whom_the_umask_lets(path: Path) -> None:
    """Give a file or folder the rights that it would have had at once. Some writers make private ones, which a job
    under another uid could not go on with."""
    with _asking:
        umask = os.umask(0o077)  # there is no other way to ask for it; what is made meanwhile is private
        os.umask(umask)
    path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)


def _give_the_rights_of(old: Path, new: Path) -> None:
    """Group and mode."""
    facts = old.stat()
    with suppress(PermissionError):  # of a group that this user is not in
        os.chown(new, -1, facts.st_gid)
    new.chmod(stat.S_IMODE(facts.st_mode))


def sync(file: Path) -> None:
    """Have the disk keep the file's content; of a folder, its entries."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (error.errno == errno.EINVAL and file.is_dir()):  # some volumes keep entries without being asked
            raise
    finally:
        os.close(descriptor)


def _begun_folder(target: Path) -> tuple[Path, int]:
    """An empty temporary sibling, and a descriptor that holds the lock of the file beside it."""
    file, descriptor = _locked(target)
    folder = file.with_name(f"{file.name}{FOLDER}")
    try:
        folder.mkdir(mode=0o700)
    except OSError:
        _end_folder(folder, descriptor)
        raise
    return folder, descriptor


def _end_folder(folder: Path, descriptor: int) -> None:
    _remove(folder.with_name(folder.name.removesuffix(FOLDER)))
    os.close(descriptor)


def _remove(stale: Path) -> None:
    """Delete an unfinished file with the folder that it stands for. While something of that cannot be deleted, it
    stays, to be swept with it later: NFS and FUSE keep what is open under another name."""
    folder = stale if stale.is_dir() else stale.with_name(f"{stale.name}{FOLDER}")
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        stale.unlink(missing_ok=True)


def _locked(target: Path) -> tuple[Path, int]:
    """An empty temporary sibling file, and a descriptor that holds its lock: it is not swept while its writer lives."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=PARTIAL, dir=target.parent)
        path = Path(name)
        with suppress(OSError):  # on a volume without locks, which is no home's, what is left stays
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if path.exists():
            return path, descriptor
        os.close(descriptor)  # swept just before it was locked


def _refuse_device(target: Path) -> None:
    """A rename would put a file in the place of a device or a pipe, or of /dev/stdout: root may do that to /dev."""
    open_file = target.is_symlink() and os.readlink(target).startswith("/proc/")
    if open_file or (target.exists() and not (target.is_file() or target.is_dir())):
        raise CannotWrite(f"{target} is no file", hint="name a file, which may be there or not")


def _hint(number: int | None) -> str:
    if is_full(number):
        return MAKE_ROOM
    return give_back() if number in (errno.EPERM, errno.EACCES) else way_out(number)


def give_back() -> str:
    """What to do where another user's files are in the way: those of one command that was run as root are enough."""
    return f"a command that another user ran leaves files of its own: chown -R {os.getuid()} the home"


def _room(path: Path, begun: Path | None) -> str:
    """How much is free, and how much was needed so far: nothing, where the library has deleted what it had begun."""
    there = next((folder for folder in (path, *path.parents) if folder.exists()), Path("/"))
    free = f"{shutil.disk_usage(there).free / 1e6:,.1f} MB are free there"
    written = round(_written(begun) / 1e6, 1) if begun else 0.0
    return f"; it needs more than {written:,.1f} MB, {free}" if written else f"; {free}"


def _written(begun: Path) -> int:
    """Bytes of a file, or of a folder's files; those that were linked in from an older folder took none."""
    found = (file.stat() for file in (begun, *begun.rglob("*")) if file.is_file())
    return sum(facts.st_size for facts in found if facts.st_nlink == 1)


def _along(one: Path, target: Path) -> bool:
    """Whether one of the paths lies in the other, or the first in a temporary sibling of the second."""
    siblings = (path for path in (one, *one.parents) if path.parent == target.parent)
    return (
        one.is_relative_to(target)
        or target.is_relative_to(one)
        or any(path.name.startswith(f".{target.name}.") for path in siblings)
    )


def _replace(staging: Path, target: Path) -> None:
    """Rename `staging` to `target`. What was there takes the other name, in one step where the system can.

    Where it cannot, it is moved aside first (a rename cannot replace a full folder): killed in between, there is none.
    """
    if not target.exists():
        os.rename(staging, target)
    elif _exchange(staging, target):
        time.sleep(LISTING_S)
    else:
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", suffix=PARTIAL, dir=target.parent))
        try:
            os.rename(target, aside / target.name)
        except OSError:  # a volume of its own, or of an overlay's lower layer
            aside.rmdir()
            raise
        os.rename(staging, target)
        time.sleep(LISTING_S)
        shutil.rmtree(aside, ignore_errors=True)


def _recover(target: Path) -> None:
    """Where a writer was killed between its two renames, give the old folder its name back."""
    for aside in target.parent.glob(f".{glob.escape(target.name)}.old.*{PARTIAL}"):
        if not target.exists() and (aside / target.name).is_dir():
            os.rename(aside / target.name, target)


def _exchange(one: Path, other: Path) -> bool:
    """Have two paths change names in one step; False where the system or the disk does not know how."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except AttributeError:
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of linux/fs.h
    return rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0
