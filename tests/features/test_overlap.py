"""Jobs that overlap, each a process of its own: two that apply at once, on each kind of registry."""

import multiprocessing
import shutil
import traceback
from dataclasses import replace

import pytest

from bidrec.config import Config
from bidrec.features.feature_store import repository
from bidrec.features.registry import apply, open_registry
from tests import postgres

FORK = multiprocessing.get_context("fork")  # Feast is imported already: all children apply at the very same time
FILE = "registry_type: file"


def apply_when_told(configs, go, outcomes):
    go.wait()
    try:
        for config in configs:
            apply(config)
        outcomes.put("applied")
    except BaseException:
        outcomes.put(traceback.format_exc())


def applied_at_once(*jobs):
    """What came of jobs that start at once, each of which applies its configurations one after the other."""
    go, outcomes = FORK.Barrier(len(jobs)), FORK.Queue()
    processes = [FORK.Process(target=apply_when_told, args=(configs, go, outcomes)) for configs in jobs]
    for process in processes:
        process.start()
    found = [outcomes.get(timeout=300) for _ in processes]
    for process in processes:
        process.join()
    return found


def views(config):
    registry, project = open_registry(config)
    return len(registry.list_feature_views(project))


def test_jobs_of_one_home_apply_one_after_the_other_on_its_registry_file(tmp_path):
    repo = shutil.copytree(repository(), tmp_path / "repo")
    (repo / "services.py").write_text((repo / "services.py").read_text().replace("Published vectors", "Vectors"))
    given = Config(home=str(tmp_path / "home"))
    changed = replace(given, feature_repo=str(repo))  # so that every apply has something to write
    assert applied_at_once([given, changed] * 3, [changed, given] * 3) == ["applied"] * 2
    assert views(given) == 9


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def registry(request, tmp_path, monkeypatch):
    """Address of an SQL registry."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/registry-sql.db"
        return
    if postgres.missing():
        pytest.skip(postgres.missing())
    with postgres.server() as server:
        for name, value in server.variables.items():
            monkeypatch.setenv(name, value)
        yield "postgresql+psycopg://"


def test_jobs_that_share_an_sql_registry_without_sharing_a_lock_apply_at_once(tmp_path, registry):
    text = (repository() / "feature_store.yaml").read_text()
    path = "path: ${BIDREC_HOME}/feast/registry.db"
    assert FILE in text
    assert path in text
    text = text.replace(FILE, "registry_type: sql").replace(path, f"path: {registry}")
    homes = []
    for name in ("one", "other", "third"):
        store = tmp_path / f"{name}.yaml"
        store.write_text(text.replace("project: bidrec", f"project: {name}"))
        homes.append(Config(home=str(tmp_path / name), feature_store=str(store)))
    apply(homes[0])  # the very first alone: two that make the tables of one registry get in each other's way
    assert applied_at_once(homes[1:2], homes[2:]) == ["applied"] * 2
    assert [views(home) for home in homes] == [9] * 3
