import multiprocessing
import os
import shutil
import tempfile
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from bidrec.config import Config
from bidrec.errors import InputMissing
from bidrec.runs.found import all_runs, find
from bidrec.runs.prune import prune, sweep_runs
from bidrec.runs.run import Run
from bidrec.runs.start import start_or_resume
from bidrec.storage.locks import one_job_at_a_time
from bidrec.storage.sealed import write_json
from tests.runs.made import finish

FORK = multiprocessing.get_context("fork")


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
