from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bidrec.config import Config, Model, Training
from bidrec.training import floor
from bidrec.training.loop import train
from tests.training.sets import training_set

SET = training_set(notices=120, records=True)
SMALL = Model(embedding_dim=8, table_dim=16, hidden=(8,), company_hidden=8, history_length=8)
ONCE = Training(batch_size=8, epochs=1)


@pytest.mark.parametrize(
    "config",
    [
        Config(model=SMALL, training=ONCE),
        Config(model=replace(SMALL, kind="static"), training=replace(ONCE, table_optimiser="rowwise_adagrad")),
        Config(model=replace(SMALL, kind="static"), training=replace(ONCE, stream_notices=20)),
    ],
    ids=["history", "static", "streamed"],
)
def test_the_floor_is_measured_and_changes_neither_the_weights_nor_the_random_numbers(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = train(config, SET, tmp_path / "with")["floor_steps_per_second"]
    left = torch.get_rng_state()
    monkeypatch.setattr(floor, "steps_per_second", lambda *of: None)
    assert train(config, SET, tmp_path / "without")["floor_steps_per_second"] is None
    assert found > 0
    assert torch.equal(left, torch.get_rng_state())
    weights = [(tmp_path / run / "model" / "weights.safetensors").read_bytes() for run in ("with", "without")]
    assert weights[0] == weights[1]


def test_the_floor_is_of_a_few_batches_however_long_a_step_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no time to spend, one batch is still measured, and no more of them than BATCHES with all the time."""
    stepped: list[int] = []
    monkeypatch.setattr(
        floor, "_step", lambda model, optimiser, steps, gathered, device: stepped.append(gathered) or 0.5
    )

    class Ready:
        def gathered(self, at: int) -> int:
            return at

    batches = 2 * floor.BATCHES
    for seconds, measured in ((-1.0, 1), (3600.0, floor.BATCHES)):
        monkeypatch.setattr(floor, "SECONDS", seconds)
        stepped.clear()
        rate = floor.steps_per_second(torch.nn.Linear(1, 1), None, Ready(), batches, torch.device("cpu"))
        assert rate == pytest.approx(2.0)
        assert len(stepped) == measured * floor.REPEATS
