import os
from pathlib import Path

import pytest

from bidrec.errors import ConfigurationError
from bidrec.storage.home import OWN, require_own, require_replaceable
from bidrec.storage.locks import one_job_at_a_time
from bidrec.storage.sealed import write_json


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
    require_own(tmp_path)


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
