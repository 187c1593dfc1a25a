import os
import sys
import threading

import pytest

from bidrec.config import Config
from bidrec.errors import ConfigurationError, InputMissing
from bidrec.features import feast_command
from bidrec.features.registry import apply, materialize, open_store
from bidrec.operations import log
from bidrec.storage.locks import one_job_at_a_time
from tests.feature_repo.homes import VIEWS, day, write_home


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    config = write_home(tmp_path_factory.mktemp("home"))
    apply(config)
    return config


def test_apply_leaves_the_process_as_it_was(config, capsys, monkeypatch):
    log.configure()
    monkeypatch.setenv("BIDREC_HOME", "elsewhere")
    before = (os.getcwd(), list(sys.path), sys.dont_write_bytecode, set(sys.modules))
    apply(config)
    assert (os.getcwd(), list(sys.path), sys.dont_write_bytecode, set(sys.modules)) == before
    assert os.environ["BIDREC_HOME"] == "elsewhere"
    assert capsys.readouterr().out == ""


def test_feasts_own_command_leaves_no_repository_behind_for_another_home(config, tmp_path):
    feast_command.run(write_home(tmp_path / "other"), ["apply"])
    apply(config)
    sources = [view.batch_source.path for view in open_store(config).list_feature_views()]
    assert all(path.startswith(f"{config.home_path}/") for path in sources)
    feast_command.run(config, ["apply"])
    assert sources == [view.batch_source.path for view in open_store(config).list_feature_views()]


def test_a_home_with_nothing_applied_has_no_store(tmp_path):
    with pytest.raises(InputMissing, match="apply"):
        open_store(Config(home=str(tmp_path)))


def test_materialize_brings_what_was_known_by_the_end_online(config, capsys):
    log.configure()
    for _ in range(2):  # the same day may be run again
        materialize(config, ["company_activity"], end=day(15))
    assert capsys.readouterr().out == ""
    assert bids_online(config) == [1]
    materialize(config, VIEWS)
    assert bids_online(config) == [2]


def test_older_values_do_not_overwrite_newer_ones(config):
    materialize(config, VIEWS)
    with pytest.raises(ConfigurationError, match=r"company_activity: online as of .* after 2024-01-16"):
        materialize(config, ["company_activity"], end=day(15))
    assert bids_online(config) == [2]


def test_a_view_that_feast_serves_no_more_after_a_failed_repair_can_be_read_after_the_next_run(config):
    from feast.feature_view import FeatureViewState

    materialize(config, VIEWS)
    store = open_store(config)
    view = store.get_feature_view("company_activity")
    view.state = FeatureViewState.GENERATED
    store.registry.apply_feature_view(view, store.project, commit=True)
    with pytest.raises(ValueError, match="GENERATED"):
        bids_online(config)
    materialize(config, ["notice_features"])
    assert bids_online(config) == [2]


@pytest.mark.parametrize(
    "job", [apply, lambda config: materialize(config, ["company_activity"])], ids=["apply", "materialize"]
)
def test_a_job_waits_while_another_changes_the_registry(config, job):
    waiting = threading.Thread(target=job, args=(config,))
    with one_job_at_a_time(config.home_path, "feast", 0):
        waiting.start()
        waiting.join(1)
        assert waiting.is_alive()
    waiting.join(120)
    assert not waiting.is_alive()


def bids_online(config):
    store = open_store(config)
    answer = store.get_online_features(["company_activity:bids_all"], [{"company_id": "apex"}])
    return answer.to_dict()["bids_all"]
