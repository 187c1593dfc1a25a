from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from bidrec.config import Model
from bidrec.errors import ContractError
from bidrec.model.two_tower import TwoTower, build
from bidrec.training.saved import WEIGHTS, load_model, save_model
from tests.training.sets import training_set

SCHEMA = training_set().schema
SMALL = Model(embedding_dim=8, table_dim=16, hidden=(16,), company_hidden=16, history_length=8)


def saved(folder: Path, settings: Model = SMALL) -> TwoTower:
    model = build(settings, SCHEMA)
    save_model(folder, model.state_dict(), {"model": asdict(settings)})
    return model


def test_a_saved_model_is_read_back_as_it_was(tmp_path: Path) -> None:
    model, found = saved(tmp_path / "model"), load_model(SCHEMA, tmp_path / "model")
    assert not found.training
    assert found.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(value, found.state_dict()[name]) for name, value in model.state_dict().items())


def test_a_tampered_model_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "model")
    weights = tmp_path / "model" / WEIGHTS
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ContractError, match="damaged"):
        load_model(SCHEMA, tmp_path / "model")


def test_a_model_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="unfinished"):
        load_model(SCHEMA, tmp_path)


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    model = build(replace(SMALL, embedding_dim=4), SCHEMA)
    save_model(tmp_path / "model", model.state_dict(), {"model": asdict(SMALL)})
    with pytest.raises(ContractError, match="does not fit the model"):
        load_model(SCHEMA, tmp_path / "model")
