"""Files as a failing disk, a broken transfer or a careless hand leaves them.

Writes  over the file that it is given: damaged bytes, or something else in its place
"""

import gzip
import io
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from pyarrow import parquet

BOMB_BYTES = 32 << 20
"""What the modest bomb unpacks to."""
WAYS = (
    *("flip",) * 6,
    *("cut",) * 3,
    *("edited",) * 4,
    *("empty", "noise", "zeros", "twice", "gap", "gone", "folder", "link", "loop", "nowhere", "bomb", "other"),
)


@dataclass(frozen=True)
class Damage:
    """What happens to a file; `at` is a share of its length."""

    way: str
    at: float
    bit: int

    def apply(self, file: Path, other: Path) -> None:
        """other: another file, of a kind that may be a different one."""
        data = file.read_bytes()
        place = min(int(self.at * len(data)), max(0, len(data) - 1))
        changed = self._bytes(data, place, other)
        if changed is not None:
            file.unlink()  # it may be a link to the sound one
            file.write_bytes(changed)
            return
        file.unlink()
        if self.way == "folder":
            file.mkdir()
        elif self.way == "link":  # as good as the file
            (file.parent / ".elsewhere").write_bytes(data)
            file.symlink_to(file.parent / ".elsewhere")
        elif self.way == "loop":
            file.symlink_to(file.name)
        elif self.way == "nowhere":
            file.symlink_to("/nowhere/at/all")

    def _bytes(self, data: bytes, place: int, other: Path) -> bytes | None:
        """The file's new content; None for what is no file."""
        made = {
            "flip": lambda: data[:place] + bytes([data[place] ^ (1 << self.bit)]) + data[place + 1 :] if data else b"",
            "cut": lambda: data[:place],
            "empty": lambda: b"",
            "noise": lambda: bytes((place * 31 + n * 7919) % 256 for n in range(min(len(data), 999))),
            "zeros": lambda: bytes(len(data)),
            "twice": lambda: data + data,
            "edited": lambda: _edited(data),
            "gap": lambda: data[:place] + data[place + 17 :],
            "other": other.read_bytes,
            "bomb": lambda: gzip.compress(bytes(BOMB_BYTES), 1),
        }
        return made[self.way]() if self.way in made else None


def _edited(data: bytes) -> bytes:
    """As sound a file as before that says something else: of a table each key has its neighbour's values."""
    if not data.startswith(b"PAR1"):
        return data.translate(bytes.maketrans(b"12", b"21"))
    table, edited = parquet.read_table(io.BytesIO(data)), io.BytesIO()
    neighbours = np.roll(np.arange(table.num_rows), 1)
    for place, name in enumerate(table.column_names[1:], start=1):
        table = table.set_column(place, name, table.column(place).take(neighbours))
    parquet.write_table(table, edited)
    return edited.getvalue()


shares = st.integers(0, 10_000).map(lambda at: at / 10_000)
damages = st.builds(Damage, way=st.sampled_from(WAYS), at=shares, bit=st.integers(0, 7))


def files_below(folder: Path) -> list[Path]:
    """Every file, sorted, each under one name."""
    return sorted(file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def fresh(snapshot: Path, folder: Path) -> None:
    """Make the folder the snapshot: links where no job writes into a file, and they replace all but databases."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(snapshot, folder, symlinks=True, copy_function=_linked)


def _linked(file: str, target: str) -> None:
    if file.endswith((".db", ".lock")):
        shutil.copy2(file, target)
    else:
        os.link(file, target)
