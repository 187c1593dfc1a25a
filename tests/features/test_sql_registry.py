"""Homes that share an SQL registry and an online store, and a registry after a teardown."""

import shutil
from pathlib import Path

import pytest

from bidrec.config import Config
from bidrec.errors import ConfigurationError
from bidrec.features import feast_command
from bidrec.features.feature_store import repository
from bidrec.features.registry import apply, materialize, open_registry, open_store
from bidrec.publishing.write_back import VIEWS
from tests.publishing.versions import publish


def home(folder: Path, name: str, project: str) -> Config:
    """A home and its project in the registry and the online store of the folder."""
    text = (repository() / "feature_store.yaml").read_text()
    shared = {
        "project: bidrec": f"project: {project}",
        "registry_type: file": "registry_type: sql",
        "path: ${BIDREC_HOME}/feast/registry.db": f"path: sqlite:///{folder}/registry.db",
        "path: ${BIDREC_HOME}/feast/online.db": f"path: {folder}/online.db",
    }
    for own, common in shared.items():
        assert own in text
        text = text.replace(own, common)
    (folder / f"{name}.yaml").write_text(text)
    return Config(home=str(folder / name), feature_store=str(folder / f"{name}.yaml"))


def runs_online(config: Config, *companies: str) -> list[str | None]:
    keys = [{"company_id": company} for company in companies]
    return open_store(config).get_online_features(["company_embedding:run_id"], keys).to_dict()["run_id"]


def test_of_two_markets_with_the_same_companies_each_reads_and_withdraws_its_own(tmp_path):
    markets = [home(tmp_path, name, f"market_{name}") for name in ("north", "south")]
    for companies in (["c1", "c2", "c3"], ["c1", "c2"]):
        for config in markets:
            apply(config)
            publish(config.home_path, companies, run=f"{config.home_path.name} of {len(companies)}")
            if companies == ["c1", "c2"] and config is markets[1]:
                break  # the south has no news
            materialize(config, VIEWS)
    assert runs_online(markets[0], "c1", "c2", "c3") == ["north of 2", "north of 2", None]
    assert runs_online(markets[1], "c1", "c2", "c3") == ["south of 3"] * 3


@pytest.mark.parametrize("job", [apply, lambda config: feast_command.run(config, ["apply"])], ids=["apply", "feast"])
def test_a_project_that_is_another_homes_is_refused_and_stays_its_own(tmp_path, job):
    north, south = home(tmp_path, "north", "bidrec"), home(tmp_path, "south", "bidrec")
    apply(north)
    with pytest.raises(ConfigurationError, match=f"project bidrec of this registry is that of the home {north.home}"):
        job(south)
    registry, project = open_registry(north)
    assert registry.get_feature_view("company_embedding", project).batch_source.path.startswith(north.home)


def test_a_home_that_was_moved_takes_its_project_along(tmp_path):
    before, after = home(tmp_path, "before", "bidrec"), home(tmp_path, "after", "bidrec")
    apply(before)
    shutil.move(before.home, after.home)
    apply(after)
    registry, project = open_registry(after)
    assert registry.get_feature_view("company_embedding", project).batch_source.path.startswith(after.home)


def test_a_teardown_leaves_the_other_projects_of_the_registry(tmp_path):
    markets = [home(tmp_path, name, f"market_{name}") for name in ("north", "south")]
    for config in markets:
        apply(config)
    feast_command.run(markets[0], ["teardown"])
    found = [registry.list_feature_views(project) for registry, project in map(open_registry, markets)]
    assert [len(views) for views in found] == [0, 9]


def test_a_project_can_be_applied_again_after_a_teardown(tmp_path):
    config = home(tmp_path, "north", "bidrec")
    apply(config)
    feast_command.run(config, ["teardown"])
    apply(config)
    publish(config.home_path, ["c1"], run="first")
    materialize(config, VIEWS)
    assert runs_online(config, "c1") == ["first"]
