"""What a disk's refusal to write looks like in each library: not all of them raise an OSError, or say its number.

Knows the libraries by the names of their errors alone and imports none of them.
"""

import errno
import os
import re

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_GONE = (errno.ENOTCONN, errno.ESTALE, errno.EHOSTDOWN)
UNABLE = (errno.ENOSYS, errno.EOPNOTSUPP)
APART = (errno.EXDEV, errno.EBUSY)
"""A folder that is to be moved or replaced, and is or lies on a volume of its own."""
_NUMBERS = (*_FULL, errno.EIO, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, *APART, *_GONE, *UNABLE)
# SQLite's texts, each with the number it stands for; Feast's online store lets them through, SQLAlchemy wraps them.
_SQLITE = {
    "database or disk is full": errno.ENOSPC,
    "disk I/O error": errno.EIO,
    "unable to open database file": errno.EACCES,
    "attempt to write a readonly database": errno.EACCES,
}
_NOWHERE = "No usable temporary directory found"
"""What Python says, as of a file that is not there, where neither /tmp nor TMPDIR may be written; torch asks for it."""
_WITHOUT_NUMBERS = ("duckdb", "_duckdb", "safetensors", "safetensors_rust")
_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")


def refusal(error: BaseException) -> int | None:
    """The errno with which the system refused to write or read; None where the error is of another kind."""
    library = type(error).__module__.split(".")[0]
    text = str(error)
    if isinstance(error, OSError):
        if error.errno == errno.ENOENT and _NOWHERE in text:
            return errno.EROFS
        if error.errno is None and _SHORT_WRITE.search(text):
            return errno.ENOSPC  # numpy says how much it could not write, and not why
        return error.errno if error.errno in _NUMBERS else None
    if library in _WITHOUT_NUMBERS:
        return next((number for number in _NUMBERS if os.strerror(number) in text), None)
    if library in ("sqlite3", "sqlalchemy"):
        return next((number for phrase, number in _SQLITE.items() if phrase in text), None)
    return None


def way_out(number: int | None) -> str:
    """What to do about it, where nothing more is known."""
    if number in _GONE:
        return "the volume is no longer there: mount it again, then run the same command again"
    if number in UNABLE:
        return "that volume cannot do what a home needs: docs/reliability.md says what that is"
    if number in APART:
        return "a home is one volume, of which only runs, published, feast and quarantine may be volumes of their own"
    return "a shorter path" if number == errno.ENAMETOOLONG else "check space and permission"


def is_full(number: int | None) -> bool:
    """Whether room would help."""
    return number in _FULL
