import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from bidrec.errors import CannotWrite
from bidrec.storage import whole
from bidrec.storage.whole import FOLDER, sweep, whole_file, whole_folder, working_folder, write_text, writing
from tests.disks import read_only, small


def test_a_folder_that_is_left_normally_is_there_whole(tmp_path):
    with whole_folder(tmp_path / "deep" / "lake") as folder:
        (folder / "part").mkdir()
        (folder / "part" / "bid.parquet").write_text("bids")
        assert not (tmp_path / "deep" / "lake").exists()
    assert (tmp_path / "deep" / "lake" / "part" / "bid.parquet").read_text() == "bids"
    assert os.listdir(tmp_path / "deep") == ["lake"]


@pytest.mark.parametrize("error", [ValueError("halfway"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_an_error_halfway_leaves_nothing(tmp_path, error):
    with pytest.raises(type(error)):
        _fail_halfway(tmp_path / "lake", error)
    assert os.listdir(tmp_path) == []


def _fail_halfway(target: Path, error: BaseException) -> None:
    with whole_folder(target) as folder:
        (folder / "notice.parquet").write_text("half")
        raise error


def test_an_error_halfway_leaves_the_old_folder_as_it_was(tmp_path):
    with whole_folder(tmp_path / "lake") as folder:
        (folder / "notice.parquet").write_text("old")
    with pytest.raises(ValueError, match="halfway"):
        _fail_halfway(tmp_path / "lake", ValueError("halfway"))
    assert (tmp_path / "lake" / "notice.parquet").read_text() == "old"
    assert os.listdir(tmp_path) == ["lake"]


def test_a_new_folder_replaces_a_full_one_with_all_that_was_in_it(tmp_path):
    for name in ("old", "new"):
        with whole_folder(tmp_path / "lake") as folder:
            (folder / name).write_text(name)
    assert os.listdir(tmp_path / "lake") == ["new"]
    assert os.listdir(tmp_path) == ["lake"]


def test_what_is_no_file_stays_what_it_is(tmp_path):
    pipe, gone = tmp_path / "pipe", tmp_path / "link to a pipe"
    os.mkfifo(pipe)
    gone.symlink_to(pipe)
    stdout = tmp_path / "stdout"  # as /dev/stdout is, here of a process whose output goes to a file
    with (tmp_path / "out").open("w") as out:
        stdout.symlink_to(f"/proc/self/fd/{out.fileno()}")
        for target in (pipe, gone, stdout):
            with pytest.raises(CannotWrite, match="is no file"):
                write_text(target, "text")
    assert pipe.is_fifo()
    assert gone.is_symlink()
    assert stdout.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link to a pipe", "out", "pipe", "stdout"]


def test_a_process_killed_halfway_leaves_no_folder_of_that_name_and_the_next_run_succeeds(tmp_path):
    process = _halfway("whole_folder", "(begun / 'notice.parquet').write_text('half')", tmp_path / "lake")
    _wait_for(lambda: list(tmp_path.glob(".lake.*/notice.parquet")))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "lake").exists()
    with whole_folder(tmp_path / "lake") as folder:
        (folder / "notice.parquet").write_text("whole")
    assert (tmp_path / "lake" / "notice.parquet").read_text() == "whole"
    assert os.listdir(tmp_path) == ["lake"]


def test_what_a_living_writer_of_a_folder_has_begun_stays(tmp_path):
    with whole_folder(tmp_path / "lake") as slow:
        (slow / "notice.parquet").write_text("slow")
        with whole_folder(tmp_path / "lake") as quick:
            (quick / "notice.parquet").write_text("quick")
        sweep(tmp_path)
        assert (tmp_path / "lake" / "notice.parquet").read_text() == "quick"
    assert (tmp_path / "lake" / "notice.parquet").read_text() == "slow"
    assert os.listdir(tmp_path) == ["lake"]


def test_what_a_living_writer_on_another_machine_has_begun_stays_where_folders_are_locked_for_one_machine_alone(
    tmp_path, monkeypatch
):
    """NFS: of files the lock holds between machines, of folders it does not, and nobody is told."""
    lock = fcntl.flock

    def of_this_machine(descriptor, operation):
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            lock(descriptor, operation)

    with working_folder(tmp_path, "spill") as spill, whole_folder(tmp_path / "lake") as lake:
        monkeypatch.setattr(whole.fcntl, "flock", of_this_machine)
        sweep(tmp_path)
        assert (spill.is_dir(), lake.is_dir()) == (True, True)
    assert os.listdir(tmp_path) == ["lake"]


def test_what_cannot_be_deleted_of_an_unfinished_folder_is_swept_later(tmp_path):
    """On NFS and FUSE a file that is still open stays under another name, until it is closed."""
    with ExitStack() as held:
        with working_folder(tmp_path, "spill") as folder:
            (folder / "open").mkdir()
            held.enter_context(small(folder / "open"))
        sweep(tmp_path)
        assert folder.is_dir()
    sweep(tmp_path)
    assert os.listdir(tmp_path) == []


def test_what_was_moved_aside_by_a_writer_killed_between_its_renames_gets_its_name_back(tmp_path):
    (tmp_path / ".lake.old.a1b2.partial" / "lake").mkdir(parents=True)
    (tmp_path / ".lake.old.a1b2.partial" / "lake" / "notice.parquet").write_text("old")
    with pytest.raises(ValueError, match="halfway"):
        _fail_halfway(tmp_path / "lake", ValueError("halfway"))
    assert (tmp_path / "lake" / "notice.parquet").read_text() == "old"
    assert os.listdir(tmp_path) == ["lake"]


def test_a_working_folder_is_gone_afterwards_and_so_are_those_of_killed_jobs(tmp_path):
    (tmp_path / ".spill.killed.partial").mkdir()
    (tmp_path / ".spill.killed.partial" / "block").write_text("half")
    (tmp_path / ".spill-of-another.kind.partial").mkdir()
    (tmp_path / ".spill.notes").mkdir()
    somebodys = [".spill-of-another.kind.partial", ".spill.notes"]
    with working_folder(tmp_path, "spill") as one, working_folder(tmp_path, "spill") as other:
        assert one != other
        begun = [name for folder in (one, other) for name in (folder.name, folder.name.removesuffix(FOLDER))]
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*begun, *somebodys])
    assert sorted(os.listdir(tmp_path)) == somebodys


def _halfway(writer, write, target):
    """A process that has `begun` to write the target, and does not end."""
    script = (
        f"import sys, time\nfrom pathlib import Path\nfrom bidrec.storage.whole import {writer}\n"
        f"with {writer}(Path(sys.argv[1])) as begun:\n    {write}\n    time.sleep(60)\n"
    )
    return subprocess.Popen([sys.executable, "-c", script, str(target)])


def _wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_folder_is_replaced_in_one_step(tmp_path, monkeypatch):
    """Linux can have two names change places; at no moment is there nothing of that name."""
    for text in ("old", "new"):
        with whole_folder(tmp_path / "lake") as folder:
            (folder / "notice.parquet").write_text(text)
        monkeypatch.setattr(whole.os, "rename", _refuse)
    assert (tmp_path / "lake" / "notice.parquet").read_text() == "new"
    assert os.listdir(tmp_path) == ["lake"]


def test_where_the_disk_cannot_a_kill_between_the_two_renames_loses_no_data(tmp_path, monkeypatch):
    """The old folder is moved aside first: at that moment neither has the name, and both are still whole on disk."""
    monkeypatch.setattr(whole, "_exchange", lambda one, other: False)
    with whole_folder(tmp_path / "lake") as folder:
        (folder / "notice.parquet").write_text("old")
    seen = []
    rename = os.rename

    def watched(source, target):
        rename(source, target)
        seen.append({path.read_text() for path in tmp_path.rglob("notice.parquet")})

    monkeypatch.setattr(whole.os, "rename", watched)
    with whole_folder(tmp_path / "lake") as folder:
        (folder / "notice.parquet").write_text("new")
    assert seen == [{"old", "new"}, {"old", "new"}]


def test_a_file_where_the_home_should_be_cannot_be_written(tmp_path):
    (tmp_path / "home").write_text("a file")
    with pytest.raises(CannotWrite, match="home") as caught, whole_folder(tmp_path / "home" / "lake"):
        pass
    assert caught.value.exit_code == 73
    with pytest.raises(CannotWrite, match="home"):
        write_text(tmp_path / "home" / "config.json", "{}")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to mount a full disk")
def test_a_full_disk_cannot_be_written_and_leaves_nothing(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(CannotWrite, match="No space left"):
            write_text(tmp_path / "metrics.json", "x" * 100_000)
        assert os.listdir(tmp_path) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.parametrize("whole", [whole_file, whole_folder])
def test_on_a_disk_that_may_only_be_read_the_target_is_named_and_not_its_temporary_sibling(tmp_path, whole):
    target = tmp_path / "x.csv"
    with read_only(tmp_path), pytest.raises(CannotWrite) as caught, whole(target):
        pass
    assert caught.value.message == f"cannot write {target}: {os.strerror(errno.EROFS)}"


def test_of_a_link_that_cannot_be_made_the_place_is_named_though_the_error_names_first_what_it_points_at(tmp_path):
    with read_only(tmp_path), pytest.raises(CannotWrite, match=f"cannot write {tmp_path}"), writing(tmp_path):
        (tmp_path / "current").symlink_to("20250101T000000Z-a1b2c3")


def test_a_folder_that_is_a_volume_of_its_own_cannot_be_replaced_and_stays_with_what_a_home_may_be_made_of(tmp_path):
    target = tmp_path / "features"
    target.mkdir()
    with small(target):
        (target / "old").touch()
        with pytest.raises(CannotWrite, match="busy") as caught, whole_folder(target):
            pass
        assert caught.value.hint
        assert "a home is one volume" in caught.value.hint
        assert os.listdir(target) == ["old"]
        assert os.listdir(tmp_path) == ["features"]


def test_a_volume_that_syncs_no_folders_is_written_all_the_same(tmp_path, monkeypatch):
    """It says EINVAL, as Linux does for whatever has no such call. The files are synced."""
    synced = os.fsync

    def of_files_alone(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        synced(descriptor)

    monkeypatch.setattr(whole.os, "fsync", of_files_alone)
    with whole_folder(tmp_path / "lake") as folder:
        (folder / "notice.parquet").write_text("new")
    assert (tmp_path / "lake" / "notice.parquet").read_text() == "new"


def test_a_refusal_to_read_another_file_beside_the_target_is_not_the_targets(tmp_path):
    refused = PermissionError(errno.EACCES, "no", str(tmp_path / ".other.csv.abc.partial"))
    with pytest.raises(PermissionError), whole_file(tmp_path / "x.csv"):
        raise refused


def test_a_file_is_replaced_whole_and_an_error_leaves_the_old_one(tmp_path, monkeypatch):
    write_text(tmp_path / "metrics.json", "0.5")
    monkeypatch.setattr(whole.os, "replace", _refuse)
    with pytest.raises(CannotWrite):
        write_text(tmp_path / "metrics.json", "0.6")
    assert (tmp_path / "metrics.json").read_text() == "0.5"
    assert os.listdir(tmp_path) == ["metrics.json"]


def _refuse(source, target):
    raise OSError(5, "Input/output error")


def test_a_home_below_a_folder_that_cannot_be_made_is_73_and_names_it():
    with pytest.raises(CannotWrite, match="/proc/none/home/lake"), whole_folder(Path("/proc/none/home/lake")):
        pass


def test_a_file_that_is_left_normally_is_there_whole_and_replaces_the_old_one(tmp_path):
    for text in ("old", "new"):
        with whole_file(tmp_path / "deep" / "pairs.parquet") as partial:
            partial.write_text(text)
        assert (tmp_path / "deep" / "pairs.parquet").read_text() == text
        assert os.listdir(tmp_path / "deep") == ["pairs.parquet"]


@pytest.mark.parametrize(
    ("umask", "folders", "files"), [(0o022, 0o755, 0o644), (0o077, 0o700, 0o600), (0o007, 0o770, 0o660)]
)
def test_who_may_read_what_was_written_is_the_umasks_to_say_whatever_made_it_private(tmp_path, umask, folders, files):
    before = os.umask(umask)
    try:
        with whole_folder(tmp_path / "lake") as folder, whole_file(tmp_path / "pairs.parquet") as partial:
            (folder / "part").mkdir()
            for file in (folder / "part" / "bid.parquet", partial):
                file.touch()
                file.chmod(0o640)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"lake": folders, "part": folders, "bid.parquet": files, "pairs.parquet": files}


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[int | str]:
    """What is done to the disk, in order: the inode of each file or folder that is synced, and "named"."""
    done: list[int | str] = []
    monkeypatch.setattr(whole.os, "fsync", lambda descriptor: done.append(os.fstat(descriptor).st_ino))
    for name in ("rename", "replace"):
        rename = getattr(os, name)
        monkeypatch.setattr(whole.os, name, lambda *paths, rename=rename: done.append("named") or rename(*paths))
    return done


def test_a_folder_is_on_the_disk_with_all_that_is_in_it_before_it_has_its_name_and_the_name_is_afterwards(
    tmp_path, done
):
    with whole_folder(tmp_path / "lake") as folder:
        (folder / "part").mkdir()
        (folder / "part" / "bid.parquet").touch()
    everything = [tmp_path / "lake", *(tmp_path / "lake").rglob("*")]
    named = done.index("named")
    assert sorted(done[:named]) == sorted(path.stat().st_ino for path in everything)
    assert done[named + 1 :] == [tmp_path.stat().st_ino]


def test_what_is_linked_over_from_the_folder_before_is_not_synced_again(tmp_path, done):
    with whole_folder(tmp_path / "features") as folder:
        (folder / "1.parquet").touch()
    done.clear()
    with whole_folder(tmp_path / "features") as folder:
        os.link(tmp_path / "features" / "1.parquet", folder / "1.parquet")
        (folder / "2.parquet").touch()
    assert (tmp_path / "features" / "2.parquet").stat().st_ino in done
    assert (tmp_path / "features" / "1.parquet").stat().st_ino not in done


def test_a_file_is_on_the_disk_before_it_has_its_name_and_the_name_is_afterwards(tmp_path, done):
    write_text(tmp_path / "metrics.json", "{}")
    assert done == [(tmp_path / "metrics.json").stat().st_ino, "named", tmp_path.stat().st_ino]


def test_what_a_killed_writer_of_a_file_left_is_swept_by_the_next_and_a_living_writer_keeps_its_own(tmp_path):
    process = _halfway("whole_file", "begun.write_text('half')", tmp_path / "pairs.parquet")
    (tmp_path / ".pairs.parquet.notes").write_text("somebody's")
    left = ".pairs.parquet.*.partial"
    _wait_for(lambda: [path for path in tmp_path.glob(left) if path.read_text() == "half"])
    write_text(tmp_path / "pairs.parquet", "first")
    assert len(list(tmp_path.glob(left))) == 1
    process.send_signal(signal.SIGKILL)
    process.wait()
    write_text(tmp_path / "pairs.parquet", "second")
    assert sorted(os.listdir(tmp_path)) == [".pairs.parquet.notes", "pairs.parquet"]
    assert (tmp_path / "pairs.parquet").read_text() == "second"


@pytest.mark.parametrize("to", ["folder", "folder/file", "nothing"])
def test_a_link_named_like_what_was_left_is_nobodys_and_stands_in_no_way(tmp_path, to):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("somebody's")
    link = tmp_path / ".list.csv.x.partial"
    link.symlink_to(to)
    write_text(tmp_path / "list.csv", "whole")
    assert link.is_symlink()
    assert (tmp_path / "folder" / "file").read_text() == "somebody's"


def test_what_is_left_of_another_file_is_not_swept_though_a_name_reads_as_a_pattern(tmp_path):
    (tmp_path / ".a.csv.x.partial").touch()
    write_text(tmp_path / "[ab].csv", "whole")
    assert sorted(os.listdir(tmp_path)) == [".a.csv.x.partial", "[ab].csv"]


def test_writers_of_one_file_at_once_do_not_sweep_what_another_one_is_about_to_lock(tmp_path):
    """As two threads that write Feast's registry do: what each writes to is there before it can be locked."""
    with ThreadPoolExecutor(4) as writers:
        for written in [writers.submit(write_text, tmp_path / "registry.db", "whole") for _ in range(1000)]:
            written.result()
    assert os.listdir(tmp_path) == ["registry.db"]


@pytest.mark.parametrize("one_step", [True, False])
def test_who_is_listing_a_folder_while_another_one_replaces_it_finds_all_of_its_files(tmp_path, monkeypatch, one_step):
    """Feast reads the features by a pattern: of a list that breaks off it would read fewer rows, without a word."""
    if not one_step:
        monkeypatch.setattr(whole, "_exchange", lambda one, other: False)
    target, names = tmp_path / "box", {f"{number:04d}" for number in range(2000)}
    with whole_folder(target) as folder:
        for name in names:
            (folder / name).touch()
    listed = []
    with os.scandir(target) as listing:
        listed.append(next(listing).name)
        monkeypatch.setattr(whole.time, "sleep", lambda seconds: listed.extend(one.name for one in listing))
        with whole_folder(target) as folder:
            (folder / "other").touch()
    assert sorted(listed) == sorted(names)
    assert [path.name for path in target.iterdir()] == ["other"]
    assert [path.name for path in tmp_path.iterdir()] == ["box"]
