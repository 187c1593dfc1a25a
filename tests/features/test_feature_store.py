"""Which feature_store.yaml is read, and what is said where it cannot be."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from bidrec.config import Config
from bidrec.errors import ConfigurationError, InputMissing
from bidrec.features.feature_store import environment, repository
from bidrec.features.registry import apply, open_registry, open_store

STORES = Path(__file__).parents[2] / "examples" / "stores"


@pytest.fixture
def own(tmp_path):
    """A feature_store.yaml with its registry elsewhere."""
    file = tmp_path / "own.yaml"
    text = (repository() / "feature_store.yaml").read_text()
    file.write_text(text.replace("${BIDREC_HOME}/feast/registry.db", f"{tmp_path}/own/registry.db"))
    return file


def test_a_feature_store_named_in_the_configuration_is_used_by_every_step(tmp_path, own):
    config = Config(home=str(tmp_path / "home"), feature_store=str(own))
    apply(config)
    registry, project = open_registry(config)
    assert len(registry.list_feature_views(project)) == 9
    assert (tmp_path / "own" / "registry.db").is_file()
    with pytest.raises(InputMissing, match="no feature registry"):
        open_registry(Config(home=str(tmp_path / "home")))


def test_the_variable_that_feasts_own_commands_read_names_it_too(tmp_path, own, monkeypatch):
    monkeypatch.setenv("FEAST_FS_YAML_FILE_PATH", str(own))
    apply(Config(home=str(tmp_path / "home")))
    assert (tmp_path / "own" / "registry.db").is_file()


@pytest.mark.parametrize("name", ["odisha", "bidrec_${BIDREC_TEST_MARKET}"])
def test_the_project_is_the_one_that_the_feature_store_names(tmp_path, own, monkeypatch, name):
    monkeypatch.setenv("BIDREC_TEST_MARKET", "kr")
    own.write_text(own.read_text().replace("project: bidrec", f"project: {name}"))
    config = Config(home=str(tmp_path / "home"), feature_store=str(own))
    apply(config)
    registry, project = open_registry(config)
    assert project == name.replace("${BIDREC_TEST_MARKET}", "kr")
    assert [found.name for found in registry.list_projects()] == [project]
    assert len(registry.list_feature_views(project)) == 9


def test_threads_that_open_the_stores_of_two_homes_open_each_its_own(tmp_path):
    homes = {name: Config(home=str(tmp_path / name)) for name in ("north", "south")}
    for config in homes.values():
        apply(config)
    with ThreadPoolExecutor(4) as threads:
        with environment(homes["north"]):
            opened = [threads.submit(open_store, homes[name]) for name in ["south", "north"] * 2]
            assert not wait(opened, timeout=1).done
        paths = [str(one.result().config.registry.path) for one in opened]
    assert paths == [f"{homes[name].home}/feast/registry.db" for name in ["south", "north"] * 2]
    assert "BIDREC_HOME" not in os.environ


def test_a_repository_of_another_project_is_64_and_says_what_feast_says(tmp_path):
    repo = tmp_path / "repo"
    shutil.copytree(repository(), repo, ignore=shutil.ignore_patterns("__pycache__"))
    (repo / "project.py").write_text("from feast import Project\nproject = Project(name='another')\n")
    config = Config(home=str(tmp_path / "home"), feature_repo=str(repo))
    with pytest.raises(ConfigurationError, match="Feast: Project object name should match with the project name"):
        apply(config)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("online_store:", "online_store:\n  password: s3cret"), r"password\s+Extra inputs are not permitted"),
        (("type: sqlite", "type: nosuch"), "nosuch"),
        (("project: bidrec", "projekt: bidrec"), "project"),
        (("provider: local", "provider: [local"), "expected ',' or ']'"),
        (("${BIDREC_HOME}/feast/online.db", "${BIDREC_ONLINE} # ${NOT_READ}"), "needs BIDREC_ONLINE .*export"),
    ],
)
def test_a_feature_store_that_feast_would_refuse_is_64_and_repeats_no_secret(tmp_path, own, change, said):
    own.write_text(own.read_text().replace(*change))
    with pytest.raises(ConfigurationError, match=said) as refused:
        apply(Config(home=str(tmp_path / "home"), feature_store=str(own)))
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("store", "variable", "value"),
    [
        ("postgres", "PGPASSWORD", "hush'secret"),
        ("redis", "BIDREC_REDIS", "redis:6379,password='hush"),
        ("redis", "BIDREC_REDIS", "'*hush'"),
    ],
)
def test_a_password_that_spoils_the_yaml_is_not_repeated(tmp_path, monkeypatch, store, variable, value):
    for name in ("PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGSSLMODE"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=r"yaml, line \d+: ") as refused:
        apply(Config(home=str(tmp_path), feature_store=str(STORES / f"{store}.yaml")))
    assert "hush" not in f"{refused.value} {refused.value.hint}"


def test_a_feature_store_that_is_not_there_is_66(tmp_path):
    with pytest.raises(InputMissing, match=r"nowhere\.yaml"):
        apply(Config(home=str(tmp_path), feature_store=str(tmp_path / "nowhere.yaml")))
