from datetime import date
from pathlib import Path

import pytest

from bidrec.config import Config, Publish
from bidrec.config.files import load
from bidrec.errors import ConfigurationError, InputMissing


def test_without_a_file_every_setting_has_its_default():
    assert load(None) == Config(home="", source=load(None).source, publish=Publish(url=""))
    assert load(None).source.url == ""


def test_an_unknown_key_is_refused_with_the_nearest_valid_name(write):
    with pytest.raises(ConfigurationError, match=r"unknown key training.epoch, did you mean training.epochs\?"):
        load(write("[training]\nepoch = 3"))


def test_an_unknown_table_is_refused_with_the_nearest_valid_name(write):
    with pytest.raises(ConfigurationError, match=r"unknown key trainig, did you mean training\?"):
        load(write("[trainig]\nepochs = 3"))


def test_all_errors_are_reported_at_once_with_culprit_and_value(write):
    text = (
        '[training]\nepochs = "many"\nlearning_rat = 1\n[model]\nhidden = [64, "wide"]\ndropout = true\n[split]\nx = 1'
    )
    with pytest.raises(ConfigurationError) as caught:
        load(write(text))
    for part in (
        "training.epochs must be of type integer, not 'many'",
        "learning_rat",
        "model.hidden[1]",
        "model.dropout",
        "split.x",
    ):
        assert part in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training = 3", r"\[training\].* table"),
        ("[training]\nepochs = 1.5", "training.epochs.* integer, not 1.5"),
        ("[training]\nepochs = true", "training.epochs.* integer, not True"),
        ("[training]\ndevice = 1", "training.device.*'cuda', not 1"),
        ("[split]\ntest_days = 'x'", "split.test_days.* integer, not 'x'"),
        ("[drift]\nrefuse = 1", "drift.refuse.* boolean, not 1"),
        ("[model]\nhidden = 64", "model.hidden.* array, not 64"),
        ("[source]\nparameters = 64", "source.parameters.* table, not 64"),
        ("[split]\ntrain_before = 'tomorrow'", "split.train_before.* date.*'tomorrow'"),
        ("[split]\ntrain_before = 2024-05-01T12:00:00", "split.train_before.* date.*2024-05-01 12:00:00"),
        ("[split]\ntrain_before = 2024-05-01T00:00:00+09:00", "split.train_before.* date"),
        ("[split]\ntrain_before = 20240101", "split.train_before.* date, not 20240101"),
        ("[source]\nparameters = {region = 1}", "source.parameters.region.* string, not 1"),
        ("[source]\nname = 'x'\nname = 'y'", "not valid TOML"),
    ],
)
def test_a_wrong_type_is_named_with_the_type_wanted(write, text, message):
    with pytest.raises(ConfigurationError, match=message):
        load(write(text))


def test_days_may_be_toml_dates_or_text(write):
    config = load(write("[split]\ntrain_before = 2024-05-01\ntest_before = '2024-06-01'"))
    assert (config.split.train_before, config.split.test_before) == (date(2024, 5, 1), date(2024, 6, 1))


def test_environment_variables_are_put_in_and_unset_ones_are_empty(write, monkeypatch):
    monkeypatch.setenv("BIDREC_REGION", "Odisha")
    config = load(write('[source]\npath = "a/${BIDREC_REGION}/b"\nschema = "${BIDREC_NOT_SET}"'))
    assert (config.source.path, config.source.schema) == ("a/Odisha/b", "")


def test_an_override_wins_over_the_file_and_none_does_not(write):
    path = write("[training]\nepochs = 3\nseed = 1")
    config = load(path, training__epochs=5, training__seed=None, split__train_before="2024-05-01")
    assert (config.training.epochs, config.training.seed) == (5, 1)
    assert config.split.train_before == date(2024, 5, 1)


def test_an_override_within_what_should_be_a_table_is_refused_as_the_value_is(write):
    with pytest.raises(ConfigurationError, match=r"\[split\].* table"):
        load(write("split = 5"), split__train_before="2025-01-01")


def test_a_file_that_is_not_there_is_missing_input(tmp_path):
    with pytest.raises(InputMissing, match=r"nowhere\.toml"):
        load(tmp_path / "nowhere.toml")


def test_the_address_of_the_source_is_in_no_manifest(write, monkeypatch):
    monkeypatch.setenv("BIDREC_SOURCE_URL", "postgresql://reader:s3cret@db/koneps")
    config = load(write('[source]\nname = "koneps"'))
    assert "s3cret" in config.source.url
    assert "s3cret" not in str(config.as_dict())


def test_the_home_is_an_absolute_path_wherever_it_is_given(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert load(None).home_path == tmp_path / ".bidrec"
    monkeypatch.setenv("BIDREC_HOME", "elsewhere")
    assert load(None).home_path == tmp_path / "elsewhere"


@pytest.mark.parametrize(
    "example", sorted((Path(__file__).parents[2] / "examples").glob("*.toml")), ids=lambda p: p.name
)
def test_every_example_is_a_valid_configuration(example):
    assert load(example).source.name or example.name == "seed.toml"


def test_an_unset_variable_within_a_longer_text_is_refused(write, monkeypatch):
    monkeypatch.setenv("BIDREC_REGION", "Odisha")
    text = 'home = "${BIDREC_NOT_SET}/home"\n[source]\npath = "${BIDREC_REGION}/${BIDREC_NOT_THERE}"'
    with pytest.raises(ConfigurationError) as caught:
        load(write(text))
    assert "home: the environment has no BIDREC_NOT_SET" in caught.value.message
    assert "source.path: the environment has no BIDREC_NOT_THERE" in caught.value.message
