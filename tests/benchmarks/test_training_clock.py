import os
import time
from pathlib import Path

import pytest
import torch

from benchmarks import training_clock
from benchmarks.training_clock import Clock, gpu_busy, stolen
from benchmarks.training_ours import Watch

CPU, GPU = torch.device("cpu"), torch.device("cuda")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


def test_the_time_between_two_marks_is_what_passed() -> None:
    clock = Clock(CPU)
    begin = clock.mark()
    time.sleep(0.02)
    assert 0.02 <= clock.seconds(begin, clock.mark()) < 5


def test_what_a_host_takes_is_told_in_ticks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = stolen()
    assert stolen() >= before >= 0
    monkeypatch.setattr(training_clock, "_CPU_TIMES", tmp_path / "stat")
    assert stolen() == 0
    (tmp_path / "stat").write_text("cpu  10 20 30 40 50 60 70 80 90 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n")
    assert stolen() == 80


@pytest.mark.gpu
@needs_gpu
def test_marks_of_a_gpu_lie_in_its_queue() -> None:
    clock = Clock(GPU)
    begin = clock.mark()
    time.sleep(0.02)
    assert 0.02 <= clock.seconds(begin, clock.mark()) < 5
    clock.wait()


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What nvidia-smi was asked; a stand-in answers."""
    asked = tmp_path / "asked"
    stand_in = tmp_path / "nvidia-smi"
    stand_in.write_text(f'#!/bin/sh\necho "$@" > {asked}\necho 40\necho "[N/A]"\necho 60\nexec sleep 60\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return asked


def wait_for(asked: Path) -> None:
    until = time.monotonic() + 20
    while not asked.exists() and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.2)


@pytest.mark.gpu
@needs_gpu
def test_a_gpu_is_as_busy_as_nvidia_smi_says(asked: Path) -> None:
    with gpu_busy(GPU) as found:
        wait_for(asked)
    assert found == {"gpu_busy": 0.5}


@pytest.mark.gpu
@needs_gpu
def test_how_busy_a_gpu_is_is_asked_from_the_first_step_to_the_last(asked: Path) -> None:
    """Not while the set is sent there, nor while a checkpoint is written."""
    watch = Watch(2, Clock(GPU))
    assert not asked.exists()
    assert not watch()
    wait_for(asked)
    assert not watch()
    assert not watch.busy
    assert watch()
    assert watch.busy == {"gpu_busy": 0.5}


def test_nothing_is_said_of_how_busy_a_gpu_is_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gpu_busy(CPU) as found:
        pass
    monkeypatch.setenv("PATH", str(tmp_path))
    with gpu_busy(GPU) as without_nvidia_smi:
        pass
    assert found == without_nvidia_smi == {}
