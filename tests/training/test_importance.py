"""What a field is worth: the one that the market was made of, against one of noise."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bidrec.config import Config, Model, Training
from bidrec.errors import InputMissing
from bidrec.training import importance as measured
from bidrec.training.importance import importance
from bidrec.training.loop import train
from bidrec.training.resident import Resident
from bidrec.training.saved import load_model
from bidrec.training.validation import validation_recall
from tests.training.sets import training_set

SET = training_set(companies=150)
SMALL = Model(embedding_dim=8, table_dim=16, hidden=(16,), company_hidden=16, history_length=8)
CONFIG = Config(model=SMALL, training=Training(batch_size=20, epochs=3, candidates=16, history_gradients=30))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory):
    run = tmp_path_factory.mktemp("run")
    train(CONFIG, SET, run)
    return load_model(SET.schema, run / "model")


def test_what_decides_the_bids_is_worth_much_and_noise_is_not(model) -> None:
    found = importance(model, SET, repeats=2, seed=1)
    drop = found["drop"]
    assert drop["notice"]["kind"]["mean"] > 0.1
    assert drop["version"]["history"]["mean"] > 0.1
    assert abs(drop["notice"]["noise"]["mean"]) < 0.05
    assert drop["notice"].keys() == {"noise", "kind", "title"}
    # One company has a profile: it can be exchanged with nobody.
    assert {name: value["mean"] for name, value in drop["profile"].items()} == {"noise": 0.0, "kind": 0.0}


def test_of_a_model_of_records_alone_the_records_field_that_decides_is_worth_much_and_nothing_else_is_measured(
    tmp_path: Path,
) -> None:
    recorded = training_set(companies=150, records=True)
    config = Config(
        model=replace(SMALL, kind="static", temperature=0.2),
        training=Training(batch_size=64, epochs=3, refit=False, patience=3),
    )
    train(config, recorded, tmp_path)
    drop = importance(load_model(recorded.schema, tmp_path / "model"), recorded, repeats=1, seed=1)["drop"]
    assert {side: list(fields) for side, fields in drop.items()} == {
        "notice": ["noise", "kind", "title"],
        "profile": ["noise", "kind"],
        "version": [],
    }
    assert min(drop["notice"]["kind"]["mean"], drop["profile"]["kind"]["mean"]) > 0.1
    assert abs(drop["profile"]["noise"]["mean"]) < 0.05


def test_the_starting_point_is_the_recall_that_chooses_the_epochs_and_the_weights_stay(model) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = importance(model, SET, repeats=1, seed=1)
    whole = validation_recall(model, Resident.of(SET, torch.device("cpu")), SET.validation_from, SET.cutoff)
    assert found["recall@100"] == pytest.approx(whole, abs=1e-6)
    assert (found["notices"], found["candidates"]) == (42, 149)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_same_seed_finds_the_same(model) -> None:
    assert importance(model, SET, repeats=1, seed=3) == importance(model, SET, repeats=1, seed=3)


def test_of_too_many_companies_the_bidders_stay_and_the_others_are_thinned(model, monkeypatch) -> None:
    monkeypatch.setattr(measured, "COMPANIES", 130)
    monkeypatch.setattr(measured, "NOTICES", 20)
    found = importance(model, SET, repeats=1, seed=1)
    assert found["notices"] <= 20
    assert found["candidates"] <= 130
    # No bidder was lost: the whole list still holds all of them.
    assert found["recall@100"] > 0.6


def test_a_validation_window_without_bids_is_missing_input(model) -> None:
    split = {"validation_from": 10**9, "cutoff": 10**9 + 1, "test_before": 10**9 + 2}
    empty = type(SET)(**{**vars(SET), "folder": Path(), "manifest": {**SET.manifest, "split": split}})
    with pytest.raises(InputMissing, match="validation window"):
        importance(model, empty, repeats=1, seed=1)
