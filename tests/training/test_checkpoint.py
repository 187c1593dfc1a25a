import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from torch import nn

from bidrec.errors import CannotWrite
from bidrec.operations import machine
from bidrec.training import checkpoint as checkpoints
from bidrec.training.checkpoint import STATE, Checkpoint, Progress, Writer, newest


def checkpoint(step: int, width: int = 4) -> Checkpoint:
    """Of a tiny training that took one step of Adam; every number in it is `step`."""
    model = nn.Linear(width, width)
    nn.init.constant_(model.weight, step)
    optimiser = torch.optim.Adam(model.parameters())
    model(torch.ones(1, width)).sum().backward()
    optimiser.step()
    return Checkpoint.of(Progress(step=step), model, optimiser, {"cache": torch.full((3,), float(step))})


def steps(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def test_what_was_copied_is_written_whatever_the_training_does_meanwhile(tmp_path: Path) -> None:
    model, cache = nn.Linear(2, 2), torch.zeros(2)
    optimiser, progress = torch.optim.Adam(model.parameters()), Progress(step=5, curve=[{"loss": 1.0}])
    before, random = model.weight.detach().clone(), torch.get_rng_state()
    copied = Checkpoint.of(progress, model, optimiser, {"cache": cache})
    nn.init.zeros_(model.weight)
    cache += 1
    progress.curve[0]["loss"] = 2.0
    torch.rand(3)
    copied.write(tmp_path, kept=1)
    found = newest(tmp_path)
    assert found
    extra = found.restore(model, optimiser)
    assert torch.equal(model.weight, before)
    assert extra["cache"].tolist() == [0, 0]
    assert found.progress == Progress(step=5, curve=[{"loss": 1.0}])
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("kept", [1, 3])
def test_only_the_newest_checkpoints_are_kept(tmp_path: Path, kept: int) -> None:
    with Writer(tmp_path, kept) as writer:
        for step in range(1, 6):
            writer.write(checkpoint(step))
    assert steps(tmp_path) == list(range(6 - kept, 6))


@pytest.mark.parametrize(("kept", "damaged", "written"), [(1, [6000], 5000), (2, [4000, 6000], 1000)])
def test_the_checkpoint_just_written_is_the_newest_whatever_damaged_ones_of_later_steps_lie_there(
    tmp_path: Path, kept: int, damaged: list[int], written: int
) -> None:
    """The training went on from an older one, or began anew: what it now writes has a lower number than these."""
    for step in (4000, 6000):
        checkpoint(step).write(tmp_path, kept=2)
    for step in damaged:
        (tmp_path / f"{step:08d}" / STATE).write_bytes(b"damaged")
    checkpoint(written).write(tmp_path, kept)
    assert steps(tmp_path) == [written]
    found = newest(tmp_path)
    assert found
    assert found.progress.step == written


def test_a_step_of_nine_digits_is_later_than_one_of_eight(tmp_path: Path) -> None:
    for step in (99_999_999, 100_000_000, 100_000_001):
        checkpoint(step).write(tmp_path, kept=2)
    assert steps(tmp_path) == [100_000_000, 100_000_001]
    checkpoint(99_999_999).write(tmp_path / "before", kept=2)
    checkpoint(100_000_000).write(tmp_path / "before", kept=2)
    found = newest(tmp_path / "before")
    assert found
    assert found.progress.step == 100_000_000


@given(st.floats(0.1, 100), st.floats(0, 10), st.floats(0, 1_000))
def test_the_next_one_is_due_in_its_time_and_when_the_last_has_cost_two_percent_of_it(
    every: float, cost: float, since: float
) -> None:
    with Writer(Path("unused"), kept=1) as writer:
        assert writer.due(0.0, every=0)
        assert writer.due(every, every)
        writer.cost = cost
        assert writer.due(since, every) == (since >= every and since >= cost / 0.02)
        assert writer.due(0.0, every=0)


def test_a_checkpoint_costs_what_its_copy_took_and_its_writing_took_of_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 4)
    asked = iter([100.0, 106.0])
    monkeypatch.setattr(checkpoints.time, "thread_time", lambda: next(asked))
    with Writer(tmp_path, kept=1) as writer:
        writer.write(checkpoint(1), copying=3.0)
        writer.wait()
        assert writer.cost == 4.5
    assert steps(tmp_path) == [1]


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_checkpoint_with_a_flipped_or_missing_byte_is_skipped_with_a_warning_and_the_one_before_is_taken(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("checkpoints")
    for step in (1, 2):
        checkpoint(step).write(folder, kept=2)
    file = folder / "00000002" / data.draw(st.sampled_from([STATE, "progress.json"]))
    content = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[at:]
    file.write_bytes(content)
    with capture_logs() as logs:
        found = newest(folder)
    assert found
    assert found.progress.step == 1
    assert [(entry["log_level"], entry["path"]) for entry in logs] == [("warning", str(folder / "00000002"))]


def test_a_checkpoint_without_its_manifest_is_half_written(tmp_path: Path) -> None:
    checkpoint(1).write(tmp_path, kept=2)
    (tmp_path / "00000001" / "manifest.json").unlink()
    assert newest(tmp_path) is None


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """A disk that is full, as far as this process can tell (EFBIG instead of ENOSPC)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_the_thread_could_not_write_is_raised_when_the_training_looks_and_the_last_checkpoint_stays(
    tmp_path: Path,
) -> None:
    with Writer(tmp_path, kept=1) as writer:
        writer.write(checkpoint(1))
        writer.wait()
        with files_no_larger_than(100_000):
            writer.write(checkpoint(2, width=400))
            with pytest.raises(CannotWrite) as error:
                writer.wait()
        assert error.value.exit_code == 73
    assert [path.name for path in tmp_path.iterdir()] == ["00000001"]
    assert newest(tmp_path)


def test_one_checkpoint_is_written_at_a_time_and_leaving_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, begun, write = threading.Event(), [], Checkpoint.write

    def held(self: Checkpoint, folder: Path, kept: int) -> None:
        begun.append(self.progress.step)
        go_on.wait(timeout=60)
        write(self, folder, kept)

    monkeypatch.setattr(Checkpoint, "write", held)
    with Writer(tmp_path, kept=5) as writer:
        writer.write(checkpoint(1))
        writer.look()  # not finished: nothing to say, and no waiting
        second = threading.Thread(target=writer.write, args=(checkpoint(2),))
        second.start()
        second.join(timeout=0.2)
        assert second.is_alive()
        assert begun == [1]
        go_on.set()
        second.join()
    assert steps(tmp_path) == [1, 2]
