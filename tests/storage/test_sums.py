"""Contents change here behind their file's back, size and time kept: what is told then was not read again."""

import hashlib
import os
import time
from mmap import ALLOCATIONGRANULARITY, mmap
from pathlib import Path
from typing import Any

import pytest

from bidrec.storage.sums import SETTLED_NS, of_each, sum_of

SETTLED = time.time_ns() - 2 * SETTLED_NS


def written(file: Path, content: bytes, mtime_ns: int) -> Path:
    file.write_bytes(content)
    os.utime(file, ns=(mtime_ns, mtime_ns))
    return file


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_settled_file_is_read_once_whatever_it_is_called(tmp_path: Path) -> None:
    file = written(tmp_path / "staging", b"one", SETTLED)
    assert sum_of(file) == sha256(b"one")
    moved = file.rename(tmp_path / "target")
    assert sum_of(written(moved, b"two", SETTLED)) == sha256(b"one")


@pytest.mark.parametrize(("content", "later_ns"), [(b"two", 1), (b"three", 0)])
def test_a_file_of_another_time_or_size_is_read_again(tmp_path: Path, content: bytes, later_ns: int) -> None:
    file = written(tmp_path / "file", b"one", SETTLED)
    sum_of(file)
    assert sum_of(written(file, content, SETTLED + later_ns)) == sha256(content)


def test_a_file_that_was_just_written_is_read_each_time(tmp_path: Path) -> None:
    """Its clock may not have ticked since, nor tick before it is written again."""
    now = time.time_ns() + 60 * 1_000_000_000
    file = written(tmp_path / "file", b"one", now)
    assert sum_of(file) == sha256(b"one")
    assert sum_of(written(file, b"two", now)) == sha256(b"two")


def test_sums_come_in_the_order_they_were_asked_in(tmp_path: Path) -> None:
    files = [written(tmp_path / str(size), b"x" * size, SETTLED) for size in (2, 0, 3, 1)]
    assert of_each(sum_of, files) == [sha256(b"x" * size) for size in (2, 0, 3, 1)]


def test_a_file_that_is_not_there_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        of_each(sum_of, [tmp_path / "none"])


@pytest.mark.parametrize("size", [0, 1, 2 * ALLOCATIONGRANULARITY, 2 * ALLOCATIONGRANULARITY + 1])
def test_a_file_of_many_windows_has_the_sum_of_all_its_bytes(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bidrec.storage.sums.WINDOW", ALLOCATIONGRANULARITY)
    content = os.urandom(size)
    assert sum_of(written(tmp_path / "file", content, SETTLED)) == sha256(content)


def test_a_file_that_becomes_shorter_while_it_is_read_is_the_systems_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path / "file", b"whole", SETTLED)

    def cut_first(descriptor: int, *size: int, **how: Any) -> mmap:
        os.truncate(file, 1)
        return mmap(descriptor, *size, **how)

    monkeypatch.setattr("bidrec.storage.sums.mmap", cut_first)
    with pytest.raises(OSError, match="became shorter"):
        sum_of(file)
