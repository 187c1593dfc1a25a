"""Whole trainings on a GPU, against the same on the CPU."""

from dataclasses import replace
from pathlib import Path

import pytest

from bidrec.config import Config, Loss, Model, Training
from bidrec.errors import Interrupted
from bidrec.training.loop import train
from tests.training.sets import ON_A_GPU, training_set

pytestmark = ON_A_GPU
SET = training_set(notices=100, records=True)
# No dropout, all companies as candidates and no history gradients: nothing is drawn on the device.
SMALL = Model(
    embedding_dim=8, table_dim=16, hidden=(16,), company_hidden=16, history_length=8, dropout=0.0, fact_dropout=0.0
)
STATIC = replace(SMALL, kind="static")
SETTINGS = Training(batch_size=10, epochs=1, candidates=1000, history_gradients=0)
SPARSE = replace(SETTINGS, table_optimiser="sparse_adam")
ROW_WISE = replace(SETTINGS, table_optimiser="rowwise_adagrad")
KINDS = {
    "history": Config(model=SMALL, training=replace(SETTINGS, deterministic=True)),
    "history, compiled": Config(model=SMALL, training=replace(SETTINGS, compile=True)),
    "history, bfloat16": Config(model=SMALL, training=replace(SPARSE, precision="bfloat16", clip_norm=0.5)),
    "static": Config(model=STATIC, training=SETTINGS),
    "static, whole notices": Config(model=STATIC, loss=Loss(logq=True), training=replace(SPARSE, whole_notices=True)),
    "static, Adagrad": Config(model=STATIC, training=replace(ROW_WISE, deterministic=True)),
    "static, streamed": Config(model=STATIC, training=replace(SPARSE, stream_notices=20)),
}


def on(device: str, config: Config) -> Config:
    return replace(config, training=replace(config.training, device=device))


def losses(facts: dict) -> list[float]:
    return [entry["loss"] for entry in facts["curve"]]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_learned_on_a_gpu_is_what_is_learned_on_the_cpu(kind: str, tmp_path: Path) -> None:
    """Nearly: sums of another order differ in their last digits, and bfloat16 has fewer."""
    config = KINDS[kind]
    plain = replace(config, training=replace(config.training, compile=False))
    host = train(on("cpu", plain), SET, tmp_path / "cpu")
    there = train(on("cuda", config), SET, tmp_path / "cuda")
    assert len(losses(there)) == 2  # the second is the refit's
    assert losses(there) == pytest.approx(losses(host), rel=2e-2 if "bfloat16" in kind else 5e-3)


@pytest.mark.parametrize("kind", ["history", "static, Adagrad"])
def test_stopped_on_a_gpu_and_started_again_it_learns_the_same(kind: str, tmp_path: Path) -> None:
    """To the last bit: these are asked to be deterministic."""
    config, asked = on("cuda", KINDS[kind]), iter(range(100))
    unbroken = train(config, SET, tmp_path / "unbroken")
    with pytest.raises(Interrupted):
        train(config, SET, tmp_path / "broken", stop=lambda: next(asked) == 2)
    resumed = train(config, SET, tmp_path / "broken")
    assert losses(resumed) == losses(unbroken)
