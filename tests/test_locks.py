import multiprocessing
import os
import signal

import pytest

from bidrec.errors import CannotWrite
from bidrec.locks import one_job_at_a_time

FORK = multiprocessing.get_context("fork")


def hold_until_killed(folder, held):
    with one_job_at_a_time(folder):
        held.set()
        signal.pause()


def take(folder, taken):
    with one_job_at_a_time(folder):
        taken.set()


def test_a_second_job_waits_until_the_first_is_gone_though_it_was_killed(tmp_path):
    held, taken = FORK.Event(), FORK.Event()
    first = FORK.Process(target=hold_until_killed, args=(tmp_path, held))
    first.start()
    assert held.wait(60)
    second = FORK.Process(target=take, args=(tmp_path, taken))
    second.start()
    assert not taken.wait(0.5)
    os.kill(first.pid, signal.SIGKILL)
    assert taken.wait(60)
    for job in (first, second):
        job.join(60)
    assert second.exitcode == 0


def test_an_error_in_the_block_gives_the_lock_back(tmp_path):
    with pytest.raises(ValueError, match="halfway"), one_job_at_a_time(tmp_path):
        raise ValueError("halfway")
    with one_job_at_a_time(tmp_path):
        assert (tmp_path / ".lock").is_file()


def test_two_folders_have_two_locks(tmp_path):
    with one_job_at_a_time(tmp_path / "feast"), one_job_at_a_time(tmp_path / "published"):
        assert sorted(path.name for path in tmp_path.iterdir()) == ["feast", "published"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match="file/feast"), one_job_at_a_time(tmp_path / "file" / "feast"):
        pass
