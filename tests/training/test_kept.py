"""Which epoch's weights the loop keeps, when it stops, and what it writes of them."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bidrec.config import Config, Model, Training
from bidrec.model.two_tower import TwoTower
from bidrec.training.axes import fit_axes
from bidrec.training.loop import train
from bidrec.training.resident import Resident
from bidrec.training.saved import load_model
from tests.training.sets import training_set

SET = training_set(notices=150)
SMALL = Model(embedding_dim=8, table_dim=16, hidden=(16,), company_hidden=16, history_length=8)
CONFIG = Config(model=SMALL, training=Training(batch_size=20, epochs=3, candidates=16, history_gradients=30))


def trained(run: Path, monkeypatch: pytest.MonkeyPatch, recalls: list[float], **settings: object) -> dict:
    """With these for the epochs' validation recalls."""
    given = iter(recalls)
    monkeypatch.setattr("bidrec.training.loop.validation_recall", lambda *_: next(given))
    return train(replace(CONFIG, training=replace(CONFIG.training, **settings)), SET, run)


@pytest.mark.parametrize(
    ("recalls", "kept"),
    [
        ([0.5, 0.6, 0.595], 3),
        ([0.5, 0.6, 0.58], 2),
        ([0.6, 0.595, 0.588], 2),
        ([0.5, 0.4, 0.3], 1),
        ([math.nan, math.nan, math.nan], 1),
    ],
)
def test_of_epochs_that_chance_could_have_put_in_another_order_the_last_is_kept_and_its_weights_are_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recalls: list[float], kept: int
) -> None:
    after_epoch: list[dict[str, torch.Tensor]] = []
    given = iter(recalls)

    def noted(model: TwoTower, *_: object) -> float:
        after_epoch.append({name: value.clone() for name, value in model.state_dict().items()})
        return next(given)

    monkeypatch.setattr("bidrec.training.loop.validation_recall", noted)
    facts = train(replace(CONFIG, training=replace(CONFIG.training, refit=False, patience=3)), SET, tmp_path)
    assert (facts["epochs"], len(facts["curve"]), len(after_epoch)) == (kept, 3, 3)
    found = load_model(SET.schema, tmp_path / "model").state_dict()
    same = [all(torch.equal(found[name], of[name]) for name in found if name != "axes") for of in after_epoch]
    assert same == [number + 1 == kept for number in range(3)]


def test_an_epochs_end_makes_no_checkpoint_that_is_not_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where epochs are short, one at each end would cost more than the steps."""
    made: list[object] = []
    monkeypatch.setattr("bidrec.training.loop.Loop._checkpoint", made.append)
    trained(tmp_path, monkeypatch, [0.6, 0.7, 0.8], checkpoint_seconds=86_400)
    assert (tmp_path / "model").exists()
    assert not made


def test_patience_begins_anew_with_each_gain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recalls = [0.5, 0.4, 0.6, 0.5, 0.4, 0.7]
    facts = trained(tmp_path, monkeypatch, recalls, refit=False, patience=2, epochs=6)
    assert [entry["validation_recall@100"] for entry in facts["curve"]] == recalls[:5]


def test_the_second_training_has_as_many_epochs_as_the_first_ones_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = trained(tmp_path, monkeypatch, [0.6, 0.4, 0.3])
    assert ["validation_recall@100" in entry for entry in facts["curve"]] == [True] * 3 + [False]
    assert (facts["epochs"], facts["refit"]) == (1, True)


def test_the_axes_that_are_written_are_those_of_all_that_the_weights_could_have_learned_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(tmp_path, monkeypatch, [0.6], epochs=1)
    data = Resident.of(SET, torch.device("cpu"))
    for name, known_before in (("validated", SET.validation_from), ("model", SET.cutoff)):
        model = load_model(SET.schema, tmp_path / name)
        written = model.axes.clone()
        fit_axes(model, data, known_before)
        torch.testing.assert_close(written, model.axes)
