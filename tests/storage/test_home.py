import errno
import os
from pathlib import Path

import pytest

from bidrec.errors import CannotWrite, ConfigurationError
from bidrec.storage.home import OWN, require_own, require_replaceable
from bidrec.storage.locks import one_job_at_a_time
from bidrec.storage.sealed import write_json
from tests.disks import small


@pytest.mark.parametrize("box", OWN)
def test_a_folder_with_somebody_elses_files_is_no_home_and_they_stay(box: str, tmp_path: Path) -> None:
    theirs = tmp_path / box / "mine" / "config.json"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=f"its {box} would be lost"), one_job_at_a_time(tmp_path, "train", 0):
        pass
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [theirs]


def test_a_folder_that_is_absent_or_has_other_things_may_become_a_home(tmp_path: Path) -> None:
    require_own(tmp_path / "new")
    (tmp_path / "src").mkdir()
    (tmp_path / "lake").mkdir()
    (tmp_path / "src" / "main.py").touch()
    require_own(tmp_path)


@pytest.mark.parametrize(("box", "mark"), OWN.items())
def test_a_home_that_was_copied_without_its_locks_is_one(box: str, mark: str, tmp_path: Path) -> None:
    write_json(tmp_path / box / mark.replace("*", "20250101T000000Z-a1b2c3"), {})
    require_own(tmp_path)


def test_a_home_in_which_a_job_was_killed_is_one(tmp_path: Path) -> None:
    with one_job_at_a_time(tmp_path, "ingest", 0):
        (tmp_path / "lake" / "bid").mkdir(parents=True)
        (tmp_path / "lake" / "bid" / "000001.parquet").touch()
    with one_job_at_a_time(tmp_path, "train", 0):
        pass


def test_a_folder_to_be_written_anew_is_a_box_of_its_kind_or_nothing(tmp_path: Path) -> None:
    pipe, file, full, empty, own = (tmp_path / name for name in ("pipe", "file", "full", "empty", "own"))
    os.mkfifo(pipe)
    file.touch()
    for folder in (full, empty, own):
        folder.mkdir()
    (full / "theirs").touch()
    write_json(own / "manifest.json", {"kind": "towers"})
    for replaceable in (tmp_path / "new", empty, own):
        require_replaceable(replaceable, "towers")
    for kept in (pipe, file, full):
        with pytest.raises(ConfigurationError, match="holds something else"):
            require_replaceable(kept, "towers")
    with pytest.raises(ConfigurationError, match="holds something else"):
        require_replaceable(own, "simulated")


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])  # of FAT, SMB and FUSE
@pytest.mark.parametrize("kind", ["link", "symlink"])
def test_a_volume_without_links_is_refused_before_a_first_job_has_written_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, number: int
) -> None:
    """Its features could be made once and never again, and no lists be published."""

    def refuse(source: Path, target: Path, *others: object) -> None:
        raise OSError(number, os.strerror(number), source, None, target)

    monkeypatch.setattr(os, kind, refuse)
    with pytest.raises(CannotWrite, match="has no links"), one_job_at_a_time(tmp_path / "home", "train", 0):
        pass
    assert os.listdir(tmp_path / "home") == []


@pytest.mark.parametrize("box", ["lake", "features"])
def test_a_box_that_takes_in_files_of_the_home_may_not_be_a_volume_of_its_own(tmp_path: Path, box: str) -> None:
    (tmp_path / box).mkdir()
    with (
        small(tmp_path / box),
        pytest.raises(CannotWrite, match=f"{box} is on a volume of its own"),
        one_job_at_a_time(tmp_path, "ingest", 0),
    ):
        pass
    assert os.listdir(tmp_path) == [box]
    assert os.listdir(tmp_path / box) == []


def test_runs_and_publications_may_lie_on_volumes_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with small(tmp_path / "runs"), one_job_at_a_time(tmp_path, "train", 0):
        assert os.listdir(tmp_path / "runs") == []
