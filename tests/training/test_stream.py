import mmap
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bidrec.config import Config, Model, Training
from bidrec.training import pair_steps, stream
from bidrec.training.pair_steps import PairSteps
from bidrec.training.resident import Resident
from bidrec.training.stream import will_need
from tests.training.sets import training_set

SET = training_set(notices=200)
STREAMED = Training(batch_size=8, stream_notices=30)


class Mapped(mmap.mmap):
    """A mapped file that notes what the system is asked for of it."""

    asked: list[tuple[int, int, int]]

    def madvise(self, option: int, start: int = 0, length: int = 0) -> None:
        self.asked.append((option, start, length))
        super().madvise(option, start, length)


@given(st.integers(1, 1_000), st.integers(1, 40), st.data())
def test_the_pages_that_hold_the_rows_are_asked_for_and_no_others(
    tmp_path_factory: pytest.TempPathFactory, rows: int, width: int, data: st.DataObject
) -> None:
    begin = data.draw(st.integers(0, rows - 1))
    end = data.draw(st.integers(begin + 1, rows))
    file = tmp_path_factory.mktemp("mapped") / "array.npy"
    np.save(file, np.zeros((rows, width), np.float32))
    with file.open("rb") as opened:
        mapped = Mapped(opened.fileno(), 0, access=mmap.ACCESS_READ)
    mapped.asked = []
    header = len(mapped) - rows * width * 4
    array: npt.NDArray[np.float32] = np.ndarray(rows * width, np.float32, mapped, header)
    will_need(array.reshape(rows, width), begin, end)
    ((option, start, length),) = mapped.asked
    assert option == mmap.MADV_WILLNEED
    assert start % mmap.PAGESIZE == 0
    assert 0 <= header + begin * width * 4 - start < mmap.PAGESIZE
    assert start + length == header + end * width * 4


def test_of_an_array_in_memory_nothing_is_asked_for() -> None:
    will_need(np.zeros((3, 2)), 0, 3)
    will_need(np.zeros((0, 2)), 0, 0)


def test_while_the_steps_learn_from_a_window_the_next_one_is_asked_for_and_none_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[int, set[int]] = {}

    def note(array: npt.NDArray[np.generic], begin: int, end: int) -> None:
        asked.setdefault(array.__array_interface__["data"][0], set()).update(range(begin, end))

    def rows_of(array: npt.NDArray[np.generic]) -> set[int]:
        return asked[array.__array_interface__["data"][0]]

    monkeypatch.setattr(stream, "will_need", note)
    monkeypatch.setattr(pair_steps, "AHEAD_PAIRS", STREAMED.batch_size)
    config = Config(model=Model(kind="static"), training=STREAMED)
    steps = PairSteps(config, Resident.of(SET, torch.device("cpu"), streamed=True), SET.validation_from)
    batches = steps.batches(epoch=0)
    windows = steps.epoch.windows()
    assert len(windows) > 3
    for at in range(batches):
        steps.gathered(at)
        begun = sum(window.batch <= at for window in windows)
        pairs = {pair for window in windows[: begun + 1] for run in window.runs for pair in range(*run)}
        notices = set(SET.pair_notice[list(pairs)].tolist())
        assert rows_of(SET.pair_notice) == rows_of(SET.pair_version) == pairs
        for array in (SET.notice_published_at, SET.notice.dense, SET.notice.attribute_values):
            assert rows_of(array) == notices
