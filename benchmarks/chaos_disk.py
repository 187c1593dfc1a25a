"""The home on a disk of its own (tmpfs), as large as what it holds and some room."""

import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

_ENOUGH = 1 << 30


def missing() -> str | None:
    """Why a disk cannot be made here, or None."""
    return None if os.getuid() == 0 else "needs root, for a disk of its own"


class Disk:
    """Mounted while the block lasts, with room for everything until `leave`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Self:
        self.folder.mkdir(exist_ok=True)
        self._mount(f"size={_ENOUGH}", "-t", "tmpfs", "tmpfs")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        subprocess.run(["umount", "-l", str(self.folder)], check=True)

    def used(self) -> int:
        """Bytes."""
        found = os.statvfs(self.folder)
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    def leave(self, room: int) -> None:
        """So many bytes are free from now on."""
        self._mount(f"remount,size={self.used() + room}")

    def empty(self) -> None:
        """There is room again."""
        self._mount(f"remount,size={_ENOUGH}")

    def _mount(self, options: str, *more: str) -> None:
        subprocess.run(["mount", "-o", options, *more, str(self.folder)], check=True)
