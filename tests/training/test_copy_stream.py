from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bidrec.config import Config, Loss, Model, Training
from bidrec.errors import ConfigurationError
from bidrec.model.rows import moved
from bidrec.training import pair_steps
from bidrec.training.copy_stream import CopyStream
from bidrec.training.loop import train
from bidrec.training.pair_batches import PairBatch
from bidrec.training.pair_steps import PairSteps
from bidrec.training.resident import Resident
from tests.training.sets import training_set

SET = training_set(notices=100, records=True)
CPU, GPU = torch.device("cpu"), torch.device("cuda")
STATIC = Model(kind="static", embedding_dim=8, table_dim=8, hidden=(16,), dropout=0.0)
CONFIG = Config(model=STATIC, training=Training(batch_size=8, stream_notices=20, epochs=2, refit=False))


@dataclass(frozen=True)
class Rows:
    number: Tensor


@dataclass(frozen=True)
class Batch:
    rows: Rows
    name: str


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


def tensors_of(batch: PairBatch) -> list[Tensor]:
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    moved(batch, note)
    return found


@pytest.mark.gpu
@needs_gpu
def test_each_group_is_gathered_once_and_one_ahead_of_the_steps() -> None:
    gathered = []

    def gather(at: int) -> list[Batch]:
        gathered.append(at)
        return [Batch(Rows(torch.full((3,), at + i)), f"batch {at + i}") for i in range(2)]

    copies = CopyStream(GPU)
    for at, following in ((0, 2), (2, 4), (4, None)):
        first, second = copies.take(at, following, gather)
        assert (first.name, second.name) == (f"batch {at}", f"batch {at + 1}")
        assert first.rows.number.device == GPU
        assert first.rows.number.tolist() == [at] * 3
        assert gathered[-1] == (4 if following is None else following)
    assert gathered == [0, 2, 4]
    copies.take(0, 2, gather)
    copies.forget()
    assert copies.take(2, None, gather)[0].rows.number.tolist() == [2] * 3
    assert gathered == [0, 2, 4, 0, 2, 2]


@pytest.mark.gpu
@needs_gpu
def test_with_copies_under_way_the_steps_get_the_batches_they_would_get_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pair_steps, "AHEAD_PAIRS", 24)
    data = Resident.of(SET, CPU, streamed=True)
    plain, copying = (PairSteps(CONFIG, data, SET.validation_from, device) for device in (CPU, GPU))
    for epoch in range(2):
        batches = plain.batches(epoch)
        assert copying.batches(epoch) == batches > 7
        # From 4 on the group that begins at 7 is under way; the next epoch asks for its own there.
        for at in range(1, 5) if epoch == 0 else range(7, batches):
            wanted, found = (tensors_of(steps.gathered(at)) for steps in (plain, copying))
            assert {tensor.device for tensor in found} == {GPU}
            assert len(wanted) == len(found) > 10
            assert all(torch.equal(here, there.cpu()) for here, there in zip(wanted, found, strict=True))


@pytest.mark.gpu
@needs_gpu
def test_only_the_plain_loss_is_learned_from_batches_alone() -> None:
    config = replace(CONFIG, loss=Loss(kind="in_batch", logq=True))
    with pytest.raises(ConfigurationError):
        PairSteps(config, Resident.of(SET, CPU, streamed=True), SET.validation_from, GPU)


@pytest.mark.gpu
@needs_gpu
def test_a_set_streamed_to_a_gpu_is_learned_as_on_the_host(tmp_path: Path) -> None:
    facts = [
        train(replace(CONFIG, training=replace(CONFIG.training, device=device)), SET, tmp_path / device)
        for device in ("cpu", "cuda")
    ]
    losses = [[entry["loss"] for entry in each["curve"]] for each in facts]
    assert losses[1] == pytest.approx(losses[0], rel=5e-3)  # dense Adam makes much of a last digit
