"""The steps of a training against torch's own optimiser and clipping, and the schedule as arithmetic."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from bidrec.config import Config, Model, Training
from bidrec.model.two_tower import build
from bidrec.training.checkpoint import Progress
from bidrec.training.learner import Learner
from bidrec.training.resident import Resident
from bidrec.training.steps import steps_for
from tests.training.sets import training_set

SET = training_set(notices=100, records=True)
CPU = torch.device("cpu")
DATA = Resident.of(SET, CPU)
STATIC = Model(kind="static", embedding_dim=8, table_dim=8, hidden=(16,))
SETTINGS = Training(batch_size=40, epochs=5, warmup_share=0.5, weight_decay=1e-3)
"""Of so many epochs the second training may have fewer: here two."""


def learner(settings: Training, *, refit: bool) -> Learner:
    return Learner(Config(model=STATIC, training=settings), SET, DATA, CPU, refit=refit, named=lambda _: nullcontext())


@pytest.mark.parametrize("refit", [False, True])
@pytest.mark.parametrize("clip_norm", [0.0, 0.05])
def test_all_steps_of_two_epochs_are_those_of_a_plain_loop(refit: bool, clip_norm: float) -> None:
    settings = replace(SETTINGS, clip_norm=clip_norm)
    ours, progress = learner(settings, refit=refit), Progress(epochs=2)
    for progress.epoch in range(2):
        batches, progress.batch = ours.steps.batches(progress.epoch), 0
        ours.start_epoch()
        for _ in range(batches):
            ours.step(progress, batches)

    torch.manual_seed(settings.seed)
    model = build(STATIC, SET.schema)
    known_before = SET.cutoff if refit else SET.validation_from
    steps = steps_for(Config(model=STATIC, training=settings), DATA, known_before, CPU)
    optimiser = torch.optim.Adam(model.parameters(), weight_decay=settings.weight_decay)
    taken, whole, norms = 0, 2 * batches, []
    for epoch in range(2):
        for at in range(steps.batches(epoch)):
            rising, falling = (taken + 1) / (whole / 2), (whole - taken) / (whole / 2)
            optimiser.param_groups[0]["lr"] = settings.learning_rate * min(rising, falling)
            optimiser.zero_grad()
            steps.learn(model, steps.gathered(at)).backward()
            norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm or torch.inf)))
            optimiser.step()
            taken += 1
    assert (progress.step, progress.batch) == (taken, batches)
    assert np.median(norms) > 1
    for name, value in model.state_dict().items():
        torch.testing.assert_close(ours.model.state_dict()[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_weights_that_were_kept_stay_what_they_were_when_the_training_goes_on() -> None:
    made, progress = learner(SETTINGS, refit=False), Progress(epochs=1)
    batches = made.steps.batches(0)
    made.start_epoch()
    kept = made.weights()
    before = {name: value.clone() for name, value in kept.items()}
    made.step(progress, batches)
    assert all(torch.equal(kept[name], value) for name, value in before.items())
    assert not torch.equal(made.weights()["notice.network.0.weight"], before["notice.network.0.weight"])
