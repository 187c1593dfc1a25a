import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from bidrec.errors import CannotWrite, Interrupted
from bidrec.storage import locks
from bidrec.storage.locks import is_held, one_job_at_a_time
from tests.disks import read_only

FORK = multiprocessing.get_context("fork")


def hold_until_killed(home, held):
    with one_job_at_a_time(home, "train", 0):
        held.set()
        signal.pause()


def take(home, taken):
    with one_job_at_a_time(home, "train", 60):
        taken.set()


IN_A_POD = """
import signal, sys
from pathlib import Path
from bidrec.storage.locks import one_job_at_a_time
with one_job_at_a_time(Path(sys.argv[1]), "train", 0):
    print("held", flush=True)
    signal.pause()
"""


@pytest.fixture
def other_job(tmp_path):
    """A process that holds the lock until it is killed."""
    held = FORK.Event()
    job = FORK.Process(target=hold_until_killed, args=(tmp_path, held))
    job.start()
    assert held.wait(60)
    yield job
    job.kill()
    job.join(60)


def test_a_second_job_waits_until_the_first_is_gone_though_it_was_killed(tmp_path, other_job):
    taken = FORK.Event()
    second = FORK.Process(target=take, args=(tmp_path, taken))
    second.start()
    assert not taken.wait(0.5)
    os.kill(other_job.pid, signal.SIGKILL)
    assert taken.wait(60)
    second.join(60)
    assert second.exitcode == 0


def test_a_home_that_may_only_be_read_is_asked_whether_a_job_is_at_work(tmp_path, other_job):
    with read_only(tmp_path):
        assert is_held(tmp_path, "train")
        other_job.kill()
        other_job.join(60)
        assert not is_held(tmp_path, "train")
        assert not is_held(tmp_path, "features")
        assert not is_held(tmp_path / ".train.lock", "train")  # a file where the home should be


@pytest.fixture
def pod(tmp_path):
    """A job that holds the lock in namespaces of its own: another host name, process ids that mean nothing here."""
    pod = ["unshare", "--pid", "--uts", "--fork", "--kill-child", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*pod, "hostname pod"], capture_output=True).returncode:
        pytest.skip("needs unshare, and the right to make namespaces")
    job = subprocess.Popen(
        [*pod, f"hostname pod-2; exec {sys.executable} -c '{IN_A_POD}' {tmp_path}"], stdout=subprocess.PIPE, text=True
    )
    assert job.stdout
    assert job.stdout.readline() == "held\n"
    yield job
    job.kill()
    job.wait(60)


def test_a_lock_that_another_pod_holds_is_kept_while_it_lives_and_taken_over_when_it_was_killed(tmp_path, pod):
    with (
        pytest.raises(Interrupted, match="process 1 on pod-2 since "),  # there is a living process 1 here too
        one_job_at_a_time(tmp_path, "train", 0),
    ):
        pass
    pod.kill()
    with one_job_at_a_time(tmp_path, "train", 60):
        assert (tmp_path / ".train.lock").read_text().startswith(f"process {os.getpid()} on ")


@pytest.mark.parametrize("wait", [0, 0.3])
def test_a_job_that_has_waited_long_enough_says_who_is_at_work_and_ends_with_75(tmp_path, other_job, wait):
    started = time.monotonic()
    message = f"another train job is at work in {tmp_path}: process {other_job.pid} on "
    with pytest.raises(Interrupted, match=message), one_job_at_a_time(tmp_path, "train", wait):
        pass
    assert time.monotonic() - started >= wait


def test_an_error_in_the_block_gives_the_lock_back(tmp_path):
    with pytest.raises(ValueError, match="halfway"), one_job_at_a_time(tmp_path, "feast", 0):
        raise ValueError("halfway")
    with one_job_at_a_time(tmp_path, "feast", 0):
        assert (tmp_path / ".feast.lock").read_text().startswith(f"process {os.getpid()} on ")


def test_two_kinds_of_job_have_two_locks(tmp_path):
    with one_job_at_a_time(tmp_path, "feast", 0), one_job_at_a_time(tmp_path, "published", 0):
        assert sorted(path.name for path in tmp_path.iterdir()) == [".feast.lock", ".published.lock"]


def test_a_home_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match="file/home"), one_job_at_a_time(tmp_path / "file" / "home", "feast", 0):
        pass


def held_back_by_nothing(descriptor, operation):
    """What flock does on a volume that only pretends to lock."""


def unknown(descriptor, operation):
    raise OSError(95, "Operation not supported")


@pytest.mark.parametrize("flock", [held_back_by_nothing, unknown])
def test_a_volume_that_keeps_no_locks_is_refused(tmp_path, monkeypatch, flock):
    monkeypatch.setattr(locks.fcntl, "flock", flock)
    with pytest.raises(CannotWrite, match="keeps no locks"), one_job_at_a_time(tmp_path, "train", 0):
        pass


def test_a_lock_that_is_a_link_to_another_file_is_refused_and_that_file_stays(tmp_path):
    """Who may write the home may not empty by it what only the job may write."""
    ledger = tmp_path / "ledger"
    ledger.write_text("precious")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".train.lock").symlink_to(ledger)
    with pytest.raises(CannotWrite), one_job_at_a_time(home, "train", 0):
        pass
    assert ledger.read_text() == "precious"


def test_whether_a_job_is_at_work_cannot_be_said_on_a_volume_that_keeps_no_locks(tmp_path, monkeypatch):
    """Lustre mounted without flock: a first job has left its file there, and was refused."""
    (tmp_path / ".train.lock").touch()
    monkeypatch.setattr(locks.fcntl, "flock", unknown)
    with pytest.raises(CannotWrite, match="keeps no locks"):
        is_held(tmp_path, "train")


def test_who_holds_a_lock_is_handed_to_the_disk_at_once_for_a_machine_that_waits_for_it(tmp_path, monkeypatch):
    """On NFS the file would seem empty there until the holder ends."""
    handed = []
    monkeypatch.setattr(locks.os, "fsync", lambda descriptor: handed.append(os.pread(descriptor, 100, 0)))
    with one_job_at_a_time(tmp_path, "train", 0):
        assert handed[-1].startswith(b"process ")
