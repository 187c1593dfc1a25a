import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from bidrec.config import Config, Loss, Model, Training, files
from bidrec.errors import ConfigurationError
from bidrec.tuning.space import SPACE, differing, space_of, toml_of, value_at, with_settings

STATIC = Config(model=Model(kind="static"), loss=Loss(kind="in_batch"))


def corners(config: Config) -> list[dict]:
    """Every choice and both ends of every range, one at a time."""
    return [{one.key: value} for one in space_of(config) for value in one.choices or (one.low, one.high)]


@pytest.mark.parametrize("config", [Config(), STATIC], ids=["history", "static"])
def test_all_that_is_searched_is_a_configuration_that_the_file_may_hold(config: Config, tmp_path: Path) -> None:
    base = {"model.kind": config.model.kind, "loss.kind": config.loss_kind}
    for settings in corners(config):
        file = tmp_path / "bidrec.toml"
        file.write_text(toml_of(base | settings), encoding="utf-8")
        loaded, meant = files.load(file), with_settings(config, base | settings)
        assert (loaded.model, loaded.loss, loaded.training) == (meant.model, meant.loss, meant.training)


def test_what_is_configured_always_belongs_to_the_space() -> None:
    odd = Config(
        model=replace(Model(), half_lives=(7.0,), dropout=0.95), training=replace(Training(), learning_rate=0.5)
    )
    for one in space_of(odd):
        value = value_at(odd, one.key)
        assert value in one.choices if one.choices else one.low <= value <= one.high
    assert len(space_of(odd)) == len(SPACE)


def test_a_model_is_not_searched_for_keys_that_it_does_not_read() -> None:
    assert "model.half_lives" not in {one.key for one in space_of(STATIC)}
    assert [one.key for one in space_of(STATIC, ["model.dropout"])] == ["model.dropout"]
    with pytest.raises(ConfigurationError, match=r"model\.half_lives") as refused:
        space_of(STATIC, ["model.half_lives"])
    assert "--space" in (refused.value.hint or "")


def test_the_toml_holds_what_differs_and_nothing_else() -> None:
    settings = {"model.dropout": 0.1, "model.half_lives": (30.0, 90.0), "training.batch_size": 512}
    changed = differing(Config(), settings)
    assert tomllib.loads(toml_of(changed)) == {"model": {"dropout": 0.1, "half_lives": [30.0, 90.0]}}
    assert toml_of({}) == ""
