import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest

from bidrec import flow
from bidrec.config import Config, Evaluation, Loss, Model, Ranking, Split, Training
from bidrec.errors import ContractError
from bidrec.features.schema import Field
from bidrec.runs.found import newest
from bidrec.runs.prune import prune
from bidrec.runs.run import Run
from bidrec.runs.start import GOES_ON, start_or_resume
from bidrec.storage.sealed import FORMAT_VERSION, write_json
from tests.runs.made import build, finish, of_another_bidrec
from tests.training_set.tables import ACTIVITY_FIELDS, schema_of


def test_a_training_goes_on_with_its_unfinished_run_and_takes_a_finished_one_as_it_is(config: Config) -> None:
    run = start_or_resume(config, "data", begun={"job": "train"})
    assert start_or_resume(config, "data", begun={"job": "another"}) == run
    assert run.begun() == {"job": "train"}
    assert start_or_resume(config, "newer data") != run
    finish(run)
    assert start_or_resume(config, "data") == run


def test_a_training_that_was_stopped_goes_on_though_the_source_has_news(
    config: Config, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start_or_resume(config, "data", lasting="lake and fields")
    news = partial(start_or_resume, lasting="lake and fields")
    build(run)
    assert news(config, "newer data") == run
    assert "the source has had news since this run was begun" in capsys.readouterr().err
    # Each of other data, or what another call has begun would be gone on with.
    assert news(config, "1", force=True) != run
    assert news(config, "2", backtest=True) != run
    assert news(replace(config, training=Training(seed=8)), "3") != run
    assert start_or_resume(config, "4", lasting="other fields") != run
    of_another_bidrec(monkeypatch, "learning")
    assert news(config, "5") != run


def test_a_training_that_diverged_begins_anew_where_there_are_news_and_is_gone_on_with_on_the_same_data(
    config: Config,
) -> None:
    """Of its old data it would diverge again, also where the news correct the rows that it did so on."""
    run = start_or_resume(config, "data")
    build(run)
    write_json(run.folder / "offending_batch.json", {"step": 1})
    assert start_or_resume(config, "data") == run
    assert start_or_resume(config, "newer data") != run


def test_what_was_stopped_and_overtaken_by_a_finished_run_is_not_gone_on_with_where_there_are_news(
    config: Config,
) -> None:
    """It would end as an older run than that, which write-back would go on publishing."""
    stopped = start_or_resume(config, "data")
    build(stopped)
    other = replace(config, training=Training(seed=8))
    finish(start_or_resume(other, "data", backtest=True))  # which write-back never publishes
    assert start_or_resume(config, "newer data") == stopped
    overtaking = start_or_resume(other, "data")
    finish(overtaking)
    begun = start_or_resume(config, "newer data")
    assert begun not in (stopped, overtaking)
    finish(begun)
    assert newest(config.home_path) == begun


def test_what_lasts_of_the_data_is_what_the_lake_began_with_and_what_is_read_of_it(config: Config) -> None:
    def lasting(fields: tuple[Field, ...] = ACTIVITY_FIELDS, **parts: list[str]) -> str:
        write_json(config.home_path / "features" / "manifest.json", {"format": FORMAT_VERSION, "parts": parts})
        return flow._lasting(config, schema_of(config.home_path, activity=fields))

    before = lasting(notice=["a"], bid=["b"])
    assert lasting(notice=["a", "c"], bid=["b", "d", "e"]) == before
    assert lasting(notice=["a"], bid=["other", "b"]) != before
    assert lasting(ACTIVITY_FIELDS[1:], notice=["a"], bid=["b"]) != before


def test_a_backtest_that_was_stopped_goes_on_whatever_was_trained_since(config: Config) -> None:
    stopped = start_or_resume(config, "data", backtest=True)
    build(stopped)
    finish(start_or_resume(config, "data", force=True))
    assert start_or_resume(config, "newer data", backtest=True) == stopped
    finish(stopped)
    assert start_or_resume(config, "newest data", backtest=True) != stopped


def test_of_two_that_were_stopped_the_newer_goes_on_and_a_copy_of_one_does_not(config: Config) -> None:
    older = start_or_resume(config, "data")
    newer = start_or_resume(config, "data of the day after")
    for run in (older, newer):
        build(run)
    shutil.copytree(newer.folder, newer.folder.with_name("experiment"))
    assert start_or_resume(config, "newest data") == newer


def test_what_was_stopped_before_its_training_set_or_days_ago_begins_anew_where_there_are_news(config: Config) -> None:
    without = start_or_resume(config, "data")
    assert start_or_resume(config, "newer data") != without
    days_ago = datetime.now(UTC) - GOES_ON - timedelta(minutes=1)
    old = Run(config.home_path / "runs" / f"{days_ago:%Y%m%dT%H%M%SZ}-ffffff")
    shutil.copytree(without.folder, old.folder)
    shutil.rmtree(config.home_path / "runs" / without.id)
    build(old)
    assert start_or_resume(config, "data") == old
    assert start_or_resume(config, "newest data") != old


def test_a_finished_run_is_not_taken_for_one_of_newer_data(config: Config) -> None:
    run = start_or_resume(config, "data")
    finish(run)
    assert start_or_resume(config, "newer data") != run


def test_a_run_that_was_begun_by_a_clock_that_is_ahead_is_not_the_newest_for_ever(config: Config) -> None:
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y%m%dT%H%M%SZ}"
    ahead = Run(config.home_path / "runs" / f"{tomorrow}-ffffff")
    write_json(ahead.folder / "config.json", {"config": {}})
    finish(ahead)
    begun = start_or_resume(config, "data")
    finish(begun)
    assert newest(config.home_path) == begun
    assert prune(config.home_path, 1) == [ahead]


def test_by_force_a_finished_run_is_made_again_and_the_new_one_gone_on_with(config: Config) -> None:
    finished = start_or_resume(config, "data")
    finish(finished)
    forced = start_or_resume(config, "data", force=True)
    assert forced != finished
    assert start_or_resume(config, "data", force=True) == forced
    assert start_or_resume(config, "data") == forced


@pytest.mark.parametrize("box", ["training_set", "model", "second_stage"])
def test_a_run_that_lost_a_box_since_it_was_finished_is_made_again(config: Config, box: str) -> None:
    run = start_or_resume(config, "data")
    finish(run)
    shutil.rmtree(run.folder / box)
    assert start_or_resume(config, "data") != run


@pytest.mark.parametrize("done", [False, True])
def test_a_run_of_other_code_is_neither_gone_on_with_nor_taken_as_it_is(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], done: bool
) -> None:
    run = start_or_resume(config, "data")
    if done:
        finish(run)
    of_another_bidrec(monkeypatch)
    for backtest in (False, True):
        assert start_or_resume(config, "data", backtest=backtest) != run
    assert "bidrec has changed since the newest run: a new one begins" in capsys.readouterr().err
    assert run.folder.is_dir()


def test_a_run_that_does_not_say_what_made_it_is_of_another_bidrec(config: Config) -> None:
    run = Run(config.home_path / "runs" / "20250101T000000Z-aaaaaa")
    write_json(run.folder / "config.json", {"config": {}})
    with pytest.raises(ContractError, match="made by another bidrec"):
        run.require_this_code()


@pytest.mark.parametrize(
    "other",
    [
        {"split": Split(test_days=7)},
        {"model": Model(dropout=0.0)},
        {"loss": Loss(block=64)},
        {"training": Training(epochs=1)},
        {"ranking": Ranking(half_life=1.0)},
        {"evaluation": Evaluation(refresh_days=1)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_no_run_is_taken_for_one_that_learns_or_measures_otherwise(config: Config, other: dict) -> None:
    run = start_or_resume(config, "data")
    assert start_or_resume(replace(config, **other), "data") != run
    finish(run)
    assert start_or_resume(replace(config, **other), "data", backtest=True) != run


def test_a_backtest_takes_what_a_training_has_finished_rather_than_what_it_has_begun(config: Config) -> None:
    finished = start_or_resume(config, "data")
    finish(finished)
    begun = start_or_resume(config, "data", force=True)
    assert start_or_resume(config, "data", backtest=True) == finished
    assert not begun.finished
    other_cutoff = replace(config, split=Split(train_before=date(2025, 3, 1)))
    assert start_or_resume(other_cutoff, "data", backtest=True) not in (finished, begun)
