"""SHA-256 of files, by all cores, and each file read for it once in a process.

Serves  manifests, when a box is written (sealed.py) and when it is read (intact.py): a job that opens what it has
        just written, or a server that asks often, need not read it again
"""

import hashlib
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

from bidrec.operations import machine

Found = TypeVar("Found")
SETTLED_NS = 100_000_000
"""A file that was written less long ago may be written again in the same tick of its clock, which nobody would see."""
MOST_KNOWN = 10_000
WINDOW = 128 << 20
"""Bytes mapped at once: between two windows a thread waits for Python's lock, up to 5 ms where another one computes."""


class _Content(NamedTuple):
    """What tells a file's content from another's; its name does not: a finished folder is renamed into its place."""

    device: int
    inode: int
    size: int
    mtime_ns: int


_known: dict[_Content, str] = {}


def sum_of(file: Path) -> str:
    """The file's SHA-256, as it was when it was last read for as long as its size and time stay. Raises OSError."""
    now = file.stat()
    content = _Content(now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns)
    found = _known.get(content) or sha256(file)
    if time.time_ns() - content.mtime_ns > SETTLED_NS:
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        _known[content] = found
    return found


def facts_of(file: Path) -> dict[str, Any]:
    """What a manifest says of a file: its size and SHA-256."""
    return {"bytes": file.stat().st_size, "sha256": sum_of(file)}


def of_each(read: Callable[[Path], Found], files: Iterable[Path]) -> list[Found]:
    """What `read` makes of each file, by all cores, the largest first and by the caller's own thread: for sums, which
    are computed outside of Python's lock."""
    asked = list(files)
    left = iter(sorted(asked, key=_size, reverse=True))
    found: dict[Path, Found] = {}

    def work(first: Iterable[Path] = ()) -> None:
        for file in chain(first, left):  # whoever is free takes the next one
            found[file] = read(file)

    others = machine.cores() - 1
    with ThreadPoolExecutor(max(1, others)) as pool:
        own = list(islice(left, 1))
        helped = [pool.submit(work) for _ in range(min(others, len(asked) - 1))]
        work(own)
        for each in helped:
            each.result()
    return [found[file] for file in asked]


def sha256(path: Path) -> str:
    """Read now, whatever is known of it. Mapped, which copies nothing and asks for Python's lock hardly ever; a disk
    that fails under it ends the process, as it would the training, which maps its files too. Raises OSError."""
    found, size = hashlib.sha256(), path.stat().st_size
    with path.open("rb") as file:
        for begin in range(0, size, WINDOW):
            with _mapped(file, begin, min(WINDOW, size - begin)) as window:
                found.update(window)
    return found.hexdigest()


def _mapped(file: BinaryIO, begin: int, length: int) -> mmap:
    try:
        return mmap(file.fileno(), length, access=ACCESS_READ, offset=begin)
    except ValueError as error:  # what mmap raises where the file ends before that
        raise OSError(f"{file.name} became shorter while it was read") from error


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0  # `read` will say what is wrong with it
