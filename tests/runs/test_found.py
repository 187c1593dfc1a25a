import pytest

from bidrec.config import Config
from bidrec.errors import ContractError, InputMissing
from bidrec.runs.found import all_runs, find, named, newest
from bidrec.runs.start import start_or_resume
from tests.runs.made import finish, of_another_bidrec


def test_what_was_learned_by_other_code_is_not_read_with_this_one(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start_or_resume(config, "data")
    run.require_this_code()
    of_another_bidrec(monkeypatch, "learning")
    run.require_this_code()  # other steps of a training read its weights in the same way
    of_another_bidrec(monkeypatch, "serving")
    with pytest.raises(ContractError, match=f"run {run.id} was made by another bidrec") as refused:
        run.require_this_code()
    assert "bidrec train" in refused.value.hint


def test_who_goes_back_to_the_code_before_publishes_what_that_has_made(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = start_or_resume(config, "data")
    finish(before)
    with pytest.MonkeyPatch.context() as upgraded:
        of_another_bidrec(upgraded)
        assert newest(config.home_path) == before  # for the one line that refuses it
        after = start_or_resume(config, "data")
        finish(after)
        assert newest(config.home_path) == after
    assert newest(config.home_path) == start_or_resume(config, "data") == before


def test_what_a_backtest_made_is_published_only_where_it_is_named(config: Config) -> None:
    run = start_or_resume(config, "data", backtest=True)
    assert start_or_resume(config, "data", backtest=True) == run
    assert start_or_resume(config, "data") != run
    with pytest.raises(InputMissing, match=f"no finished run {run.id}"):
        find(config.home_path, run.id)
    run.finish()
    assert newest(config.home_path) is None
    with pytest.raises(InputMissing):
        find(config.home_path)
    assert find(config.home_path, run.id) == run
    with pytest.raises(InputMissing, match="no finished run ''"):  # a variable that was not set, not the newest
        find(config.home_path, "")
    assert run in all_runs(config.home_path)


def test_a_run_that_is_not_there_is_missing_input(config: Config) -> None:
    with pytest.raises(InputMissing, match="no run nothing"):
        named(config.home_path, "nothing")
