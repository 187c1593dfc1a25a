"""Every library meets a real full disk and a folder that may not be written; each time it is CannotWrite."""

import errno
import os
import re
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from bidrec.errors import CannotWrite
from bidrec.storage.refusals import is_full, refusal
from bidrec.storage.whole import whole_file, whole_folder
from tests.disks import small

ROWS = 400_000
"""Numbers that do not compress: some MB, more than the disk has."""


def by_duckdb(folder: Path) -> None:
    duckdb.execute(f"COPY (SELECT random() AS number FROM range({ROWS})) TO '{folder}/rows.parquet' (FORMAT parquet)")


def by_arrow(folder: Path) -> None:
    parquet.write_table(pa.table({"number": np.random.default_rng(7).random(ROWS)}), folder / "rows.parquet")


def by_numpy(folder: Path) -> None:
    np.save(folder / "rows.npy", np.zeros(ROWS))


def by_safetensors(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"weights": torch.zeros(ROWS, dtype=torch.float64)}, folder / "weights.safetensors")


def by_sqlite(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "online.db")) as connection:
        connection.execute("CREATE TABLE rows (value)")
        connection.executemany("INSERT INTO rows VALUES (zeroblob(100000))", [()] * 50)


def by_python(folder: Path) -> None:
    (folder / "rows.json").write_text("0" * 8 * ROWS)


WRITERS = [by_duckdb, by_arrow, by_numpy, by_safetensors, by_sqlite, by_python]


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path_factory.mktemp("disk")
    with small(folder):
        yield folder


def _made(target: Path, fill: Callable[[Path], None]) -> None:
    with whole_folder(target) as folder:
        fill(folder)


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_a_full_disk_is_named_with_what_was_written_and_what_is_free_and_nothing_is_left(
    small_disk: Path, write: Callable[[Path], None]
) -> None:
    written: list[int] = []

    def fill(folder: Path) -> None:
        try:
            write(folder)
        finally:  # some libraries delete what they had begun
            written.extend(file.stat().st_size for file in folder.iterdir())

    with pytest.raises(CannotWrite) as caught:
        _made(small_disk / "box", fill)
    room = caught.value.message.removeprefix(f"cannot write {small_disk}/box: No space left on device; ")
    needed = f"it needs more than {sum(written) / 1e6:.1f} MB, " if written else ""
    assert re.fullmatch(rf"{needed}\d\.\d MB are free there", room)
    assert "bidrec runs prune" in str(caught.value.hint)
    assert os.listdir(small_disk) == []


def test_a_full_disk_met_by_one_file_keeps_the_old_file(small_disk: Path) -> None:
    with whole_file(small_disk / "metrics.json") as partial:
        partial.write_text("old")
    with (
        pytest.raises(CannotWrite, match="needs more than"),
        whole_file(small_disk / "metrics.json") as partial,
        partial.open("w") as file,
    ):
        file.write("0" * 8 * ROWS)
    assert (small_disk / "metrics.json").read_text() == "old"
    assert os.listdir(small_disk) == ["metrics.json"]
    (small_disk / "metrics.json").unlink()


def test_what_is_linked_in_from_an_older_folder_needs_no_room(small_disk: Path) -> None:
    old = small_disk / "old"
    old.write_text("0" * 1_500_000)

    def fill(folder: Path) -> None:
        os.link(old, folder / "old")
        by_numpy(folder)

    with pytest.raises(CannotWrite, match=r"; it needs more than 0\.\d MB, 0\.0 MB are free there"):
        _made(small_disk / "box", fill)
    old.unlink()


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_a_disk_that_may_not_be_written_is_cannot_write(tmp_path: Path, write: Callable[[Path], None]) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(tmp_path)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs root and the right to mount, for a disk that is read-only")
    try:
        with pytest.raises(Exception, match=r".") as caught:
            write(tmp_path)
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)
    number = refusal(caught.value)
    assert number in (errno.EROFS, errno.EACCES)
    assert not is_full(number)


@pytest.mark.parametrize("error", [ConnectionResetError(errno.ECONNRESET, "gone"), OSError("odd"), ValueError("bad")])
def test_other_errors_are_no_refusals(error: Exception) -> None:
    assert refusal(error) is None
