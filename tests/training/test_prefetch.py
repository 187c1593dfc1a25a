from threading import Event, current_thread

import pytest
import torch

from bidrec.config import Config, Training
from bidrec.training import machine, pair_steps
from bidrec.training.pair_steps import PairSteps
from bidrec.training.prefetch import Prefetch
from bidrec.training.resident import Resident
from tests.training.sets import training_set
from tests.training.test_copy_stream import CONFIG, tensors_of

SET = training_set(notices=100)
CPU = torch.device("cpu")


def test_each_group_is_gathered_once_and_after_the_first_beside_the_steps() -> None:
    gathered = []

    def gather(at: int) -> list[int]:
        gathered.append((at, current_thread().name.split("_")[0]))
        return [at, at + 1]

    prefetch = Prefetch()
    for at, following in ((0, 2), (2, 4), (4, None)):
        assert prefetch.take(at, following, gather) == [at, at + 1]
    assert gathered == [(0, current_thread().name), (2, "prefetch"), (4, "prefetch")]


def test_a_group_that_is_not_the_one_under_way_is_gathered_anew() -> None:
    prefetch = Prefetch()
    prefetch.take(0, 2, lambda at: ["of the last epoch"])
    assert prefetch.take(6, 8, lambda at: [at]) == [6]
    prefetch.forget()
    assert prefetch.take(8, None, lambda at: ["new"]) == ["new"]


def test_what_a_gather_raises_is_raised_where_its_group_is_asked_for() -> None:
    def gather(at: int) -> list[int]:
        if at == 2:
            raise MemoryError
        return [at]

    prefetch = Prefetch()
    assert prefetch.take(0, 2, gather) == [0]
    with pytest.raises(MemoryError):
        prefetch.take(2, 4, gather)


def test_nothing_reads_an_epoch_any_more_once_it_is_forgotten() -> None:
    begun, read = Event(), []

    def gather(at: int) -> list[int]:
        if at == 2:
            begun.set()
            Event().wait(0.05)
            read.append(at)
        return [at]

    prefetch = Prefetch()
    prefetch.take(0, 2, gather)
    begun.wait()
    prefetch.forget()
    assert read == [2]


@pytest.mark.parametrize("streamed", [False, True])
def test_with_a_gather_under_way_the_steps_get_the_batches_they_would_get_without(
    streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_steps, "AHEAD_PAIRS", 24)
    data = Resident.of(SET, CPU, streamed)
    plain, ahead = (PairSteps(CONFIG, data, SET.validation_from) for _ in range(2))
    plain.prefetch, ahead.prefetch = None, Prefetch()
    for epoch in range(2):
        batches = plain.batches(epoch)
        assert ahead.batches(epoch) == batches > 7
        # From 4 on the group that begins at 7 is under way; the next epoch asks for its own there.
        for at in range(1, 5) if epoch == 0 else range(7, batches):
            wanted, found = (tensors_of(steps.gathered(at)) for steps in (plain, ahead))
            assert len(wanted) == len(found) > 10
            assert all(torch.equal(here, there) for here, there in zip(wanted, found, strict=True))


@pytest.mark.parametrize(("cores", "taken"), [(1, False), (2, True)])
def test_a_core_that_the_steps_leave_gathers_for_them(cores: int, taken: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_steps, "cores", lambda: cores)
    config = Config(model=CONFIG.model, loss=CONFIG.loss, training=Training(batch_size=100))
    with machine.arithmetic(config):
        steps = PairSteps(config, Resident.of(SET, CPU), SET.validation_from)
    assert isinstance(steps.prefetch, Prefetch) == taken
