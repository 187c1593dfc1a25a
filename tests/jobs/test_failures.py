"""What a user is told of an error that no command raises itself."""

import errno
import os
import tempfile

import duckdb
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError

from bidrec.errors import InputMissing
from jobs.cli import main
from jobs.failures import report

TOO_MUCH = 10**15
"""Numbers: more bytes than a processor addresses, so that no machine has them."""


@pytest.mark.parametrize("allocate", [torch.empty, np.empty], ids=["torch", "numpy"])
def test_settings_that_need_more_memory_than_there_is_are_no_bug_but_named_with_a_way_out(allocate, capsys):
    with pytest.raises((RuntimeError, MemoryError)) as raised:
        allocate(TOO_MUCH)
    assert report(raised.value, interrupted=False, verbose=False)[0] == 64
    said = capsys.readouterr().err
    assert said.startswith("error: not enough memory: ")
    assert "hint: " in said
    assert "training.batch_size" in said


@pytest.mark.parametrize(
    "full",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80.00 GiB."),
        torch.AcceleratorError("CUDA error: out of memory"),  # of a graph, or of a GPU that others fill
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=["allocator", "driver", "cuBLAS"],
)
def test_a_gpu_that_is_full_is_no_bug_whoever_asked_it_for_memory(full, capsys):
    assert report(full, interrupted=False, verbose=False)[0] == 64
    assert capsys.readouterr().err.startswith("error: not enough memory: CUDA")


def test_another_runtime_error_of_torch_is_a_bug(capsys):
    with pytest.raises(RuntimeError) as raised:
        torch.zeros(2) @ torch.zeros(3)
    assert report(raised.value, interrupted=False, verbose=False)[0] == 70
    assert "this is a bug" in capsys.readouterr().err


@pytest.mark.parametrize("verbose", [False, True])
def test_what_a_message_quotes_gives_no_order_to_the_terminal_that_shows_it(verbose, capsys):
    """The name of a file beside the dumps, a value that is no number: somebody else wrote it."""
    name = "no\x1b]0;title\x07\x9b31m\u202etice.txt"
    _, said = report(InputMissing("no 공고　dump", hint=f"there: {name}"), interrupted=False, verbose=verbose)
    shown = capsys.readouterr().err
    assert said["hint"] == r"there: no\x1b]0;title\x07\x9b31m\u202etice.txt"
    assert said["hint"] in shown
    assert "no 공고 dump" in shown
    assert not {*name} - {*r"no\x1b]0;title\x07\x9b31m\u202etice.txt"} & {*shown}


@pytest.mark.parametrize("number", [errno.ENOTCONN, errno.ESTALE, errno.EHOSTDOWN])  # of FUSE, NFS and SMB
def test_a_home_whose_volume_has_gone_is_no_bug_but_a_volume_to_be_mounted_again(capsys, number):
    gone = OSError(number, os.strerror(number), "/data/published/current")
    assert report(gone, interrupted=False, verbose=False)[0] == 73
    said = capsys.readouterr().err
    assert "/data/published/current" in said
    assert "hint: the volume is no longer there: mount it again" in said


@pytest.mark.parametrize(
    ("home", "code", "hint"),
    [
        ("/tmp/" + 300 * "n", 73, "a shorter path"),
        ("~somebody-whom-nobody-knows/bidrec", 64, "write it in full"),
    ],
    ids=["too long", "of nobody"],
)
@pytest.mark.parametrize("command", ["ingest", "doctor", "runs"])
def test_a_home_with_a_name_that_no_system_takes_is_no_bug(monkeypatch, command, home, code, hint):
    monkeypatch.setenv("BIDREC_HOME", home)
    done = CliRunner().invoke(main, [command])
    assert (done.exit_code, f"hint: {hint}" in done.stderr) == (code, True), done.stderr


def test_a_file_that_another_job_has_put_into_one_with_others_is_no_damage_but_to_be_read_again(tmp_path, capsys):
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET streaming_buffer_size = '10KB'")
        for number in range(6):
            connection.execute(f"COPY (FROM range(100_000)) TO '{tmp_path}/{number}.parquet'")
        reading = connection.execute(f"FROM read_parquet('{tmp_path}/*.parquet')")
        reading.fetchmany(5)
        (tmp_path / "5.parquet").unlink()
        with pytest.raises(duckdb.Error) as raised:
            reading.fetchall()
    assert report(raised.value, interrupted=False, verbose=False)[0] == 75
    assert f'{tmp_path}/5.parquet"' in capsys.readouterr().err


def test_a_registry_that_another_job_makes_at_the_same_moment_is_no_bug_but_to_be_tried_again(capsys):
    with create_engine("sqlite://").begin() as connection:
        connection.execute(text("CREATE TABLE projects (project_id TEXT PRIMARY KEY)"))
        with pytest.raises(IntegrityError) as raised:
            connection.execute(text("INSERT INTO projects VALUES ('bidrec'), ('bidrec')"))
    assert report(raised.value, interrupted=False, verbose=False)[0] == 75
    assert "hint: run the same command again" in capsys.readouterr().err


def test_a_container_that_is_read_only_and_has_no_folder_for_temporary_files_is_no_bug(monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc"])
    with pytest.raises(FileNotFoundError) as raised:
        tempfile.gettempdir()
    assert report(raised.value, interrupted=False, verbose=False)[0] == 73
    assert "No usable temporary directory" in capsys.readouterr().err
