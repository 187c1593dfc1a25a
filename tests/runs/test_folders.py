"""Which run a training, a backtest and a write-back take, of those that are in the home."""

import multiprocessing
import os
import shutil
import tempfile
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from bidrec import flow
from bidrec.config import Config, Evaluation, Loss, Model, Ranking, Split, Training
from bidrec.errors import ContractError, InputMissing
from bidrec.features.schema import Field
from bidrec.runs import recipe
from bidrec.runs.found import all_runs, find, named, newest
from bidrec.runs.prune import prune, sweep_runs
from bidrec.runs.run import Run
from bidrec.runs.start import GOES_ON, start_or_resume
from bidrec.storage.locks import one_job_at_a_time
from bidrec.storage.sealed import FORMAT_VERSION, write_json
from tests.training_set.tables import ACTIVITY_FIELDS, schema_of

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(home=str(tmp_path), split=Split(train_before=date(2025, 1, 1)))


def finish(run: Run) -> None:
    for box in (run.training_set, run.model, run.second_stage):
        write_json(box / "manifest.json", {"format": FORMAT_VERSION})
    write_json(run.folder / "metrics.json", {})
    run.finish()


def build(run: Run) -> None:
    write_json(run.training_set / "manifest.json", {"format": FORMAT_VERSION})


def of_another_bidrec(monkeypatch: pytest.MonkeyPatch, *of: str) -> None:
    """From here on this bidrec's code is other code than it was, in the parts named or in all."""
    now = recipe.now()
    monkeypatch.setattr("bidrec.runs.recipe.now", lambda: now | {part: "other code" for part in of or now})


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


def a_home_with(config: Config, *finished: bool) -> list[str]:
    """Runs, oldest first, finished or not; returns their ids."""
    ids = [f"2025010{day}T000000Z-00000{day}" for day in range(len(finished))]
    for run_id, done in zip(ids, finished, strict=True):
        folder = config.home_path / "runs" / run_id
        write_json(folder / "config.json", {"config": {}})
        if done:
            Run(folder).finish()
    return ids


def left(config: Config) -> list[str]:
    return [run.id for run in all_runs(config.home_path)]


def test_pruning_keeps_the_newest_finished_runs_the_published_and_the_pinned(config: Config) -> None:
    ids = a_home_with(config, True, True, True, True, True, True)
    Run(config.home_path / "runs" / ids[1]).pin()
    write_json(config.home_path / "published" / "current" / "manifest.json", {"run": ids[2]})
    assert prune(config.home_path, 7) == []
    gone = prune(config.home_path, 2)
    assert [run.id for run in gone] == [ids[0], ids[3]]
    assert left(config) == [ids[1], ids[2], ids[4], ids[5]]
    assert not list(config.home_path.rglob(".pruned*"))
    Run(config.home_path / "runs" / ids[1]).unpin()
    prune(config.home_path, 0)
    assert left(config) == [ids[2]]


def test_pruning_leaves_unfinished_runs_while_a_training_is_at_work_and_those_it_may_go_on_with(config: Config) -> None:
    ids = a_home_with(config, False, False, True, False)
    with one_job_at_a_time(config.home_path, "train", 0):
        assert prune(config.home_path, 1) == []
    assert left(config) == ids
    assert [run.id for run in prune(config.home_path, 1)] == ids[:2]


def test_a_run_that_its_training_ends_while_pruning_looks_is_kept(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = a_home_with(config, True, False)
    finished = Run.finished.fget

    def asked(run: Run) -> bool:
        found = finished(run)
        run.finish()  # at the next moment
        return found

    with one_job_at_a_time(config.home_path, "train", 0):
        monkeypatch.setattr(Run, "finished", property(asked))
        assert prune(config.home_path, 1) == []
    assert left(config) == ids


def publish_when_told(home: Path, run_id: str, at_work: Event, told: Event) -> None:
    """What a write-back does with `published/`: another process than the one that prunes."""
    with one_job_at_a_time(home, "published", 0):
        at_work.set()
        assert told.wait(60)
        write_json(home / "published" / "current" / "manifest.json", {"run": run_id})


def test_pruning_leaves_finished_runs_while_a_write_back_is_at_work_which_may_be_publishing_any(config: Config) -> None:
    ids = a_home_with(config, True, True, False, True)
    at_work, told = FORK.Event(), FORK.Event()
    write_back = FORK.Process(target=publish_when_told, args=(config.home_path, ids[0], at_work, told))
    write_back.start()
    assert at_work.wait(60)
    assert [run.id for run in prune(config.home_path, 1)] == [ids[2]]
    told.set()
    write_back.join(60)
    assert write_back.exitcode == 0
    assert [run.id for run in prune(config.home_path, 1)] == [ids[1]]
    assert left(config) == [ids[0], ids[3]]


def test_a_dry_run_deletes_nothing_and_what_a_killed_one_left_is_swept(config: Config) -> None:
    ids = a_home_with(config, True, True)
    (config.home_path / "runs" / ".pruned.old").mkdir()
    assert [run.id for run in prune(config.home_path, 1, dry_run=True)] == [ids[0]]
    assert left(config) == ids
    prune(config.home_path, 2)
    assert left(config) == ids
    assert not (config.home_path / "runs" / ".pruned.old").exists()


def test_a_run_whose_deletion_was_killed_is_gone_and_its_rest_is_swept(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = a_home_with(config, True, True)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            prune(config.home_path, 1)
    assert left(config) == ids[1:]
    prune(config.home_path, 1)
    assert [path.name for path in (config.home_path / "runs").iterdir()] == ids[1:]


@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="no second filesystem")
def test_runs_may_lie_on_a_volume_of_their_own(config: Config) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as volume:
        (config.home_path / "runs").symlink_to(volume)
        ids = a_home_with(config, True, True)
        prune(config.home_path, 1)
        assert os.listdir(volume) == ids[1:]


def test_a_run_that_is_not_there_is_missing_input(config: Config) -> None:
    with pytest.raises(InputMissing, match="no run nothing"):
        named(config.home_path, "nothing")


def test_what_killed_trainings_have_left_is_swept_and_every_run_stays(tmp_path):
    run = start_or_resume(Config(home=str(tmp_path)), "inputs")
    for litter in (".training_set.a1b2.partial", "checkpoints/.00000007.a1b2.partial"):
        (run.folder / litter).mkdir(parents=True)
    (tmp_path / "runs" / "20250101T000000Z-a1b2c3").mkdir()
    (tmp_path / "runs" / "20250101T000000Z-a1b2c3" / ".config.json.x.partial").touch()
    others = {"experiment", "20250101T000000Z-a1b2c3.bak"}  # not bidrec's
    for name in others:
        (tmp_path / "runs" / name).mkdir()
    sweep_runs(tmp_path)
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {run.id, *others}
    assert sorted(path.name for path in run.folder.rglob("*")) == ["checkpoints", "config.json"]


def test_a_run_whose_configuration_is_a_link_to_nothing_is_named_as_unreadable_and_not_swept(config: Config) -> None:
    run = start_or_resume(config, "inputs")
    finish(run)
    written = run.folder / "config.json"
    written.unlink()
    written.symlink_to(written.name)
    sweep_runs(config.home_path)
    assert [one.id for one in all_runs(config.home_path)] == [run.id]
    with pytest.raises(InputMissing, match="cannot read"):
        find(config.home_path)
