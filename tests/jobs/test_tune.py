import json
import sys

from click.testing import CliRunner

from bidrec.tuning.space import SPACE
from jobs.tune import tune


def test_the_space_is_shown_without_a_source_and_without_optuna(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    shown = CliRunner().invoke(tune, ["--space", "--json"])
    assert shown.exit_code == 0
    assert [one["key"] for one in json.loads(shown.stdout)["space"]] == [one.key for one in SPACE]
    table = CliRunner().invoke(tune, ["--space"]).stdout
    assert all(one.key in table for one in SPACE)
    assert not home.exists()


def test_without_optuna_the_command_ends_with_69_and_what_to_install(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    (home.parent / "bidrec.toml").write_text('[source]\nname = "koneps"\npath = "nowhere"\n', encoding="utf-8")
    refused = CliRunner().invoke(tune, ["--config", str(home.parent / "bidrec.toml")])
    assert refused.exit_code == 69
    assert "hint: pip install -r requirements/tune.txt" in refused.stderr
    assert not home.exists()


def test_without_a_source_nothing_is_searched(home):
    refused = CliRunner().invoke(tune, [])
    assert refused.exit_code == 66
    assert not home.exists()


def test_a_key_that_is_not_searched_is_a_configuration_error(home):
    refused = CliRunner().invoke(tune, ["--space", "--only", "publish.top_k"])
    assert refused.exit_code == 64
    assert "publish.top_k" in refused.stderr
