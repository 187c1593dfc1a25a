import os
import sys

import pytest

from bidrec import log
from bidrec.config import Config
from bidrec.errors import InputMissing
from bidrec.features.registry import apply, materialize, open_store
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


def test_a_home_with_nothing_applied_has_no_store(tmp_path):
    with pytest.raises(InputMissing, match="apply"):
        open_store(Config(home=str(tmp_path)))


def test_materialize_brings_what_was_known_by_the_end_online(config, capsys):
    log.configure()
    materialize(config, ["company_activity"], end=day(15))
    assert capsys.readouterr().out == ""
    assert bids_online(config) == [1]
    materialize(config, VIEWS)
    assert bids_online(config) == [2]


def test_a_view_that_a_killed_run_left_half_written_can_be_read_after_the_next_run(config):
    from feast.feature_view import FeatureViewState

    materialize(config, VIEWS)
    store = open_store(config)
    view = store.get_feature_view("company_activity")
    view.state = FeatureViewState.MATERIALIZING
    store.registry.apply_feature_view(view, store.project, commit=True)
    with pytest.raises(ValueError, match="MATERIALIZING"):
        bids_online(config)
    materialize(config, ["notice_features"])
    assert bids_online(config) == [2]


def bids_online(config):
    store = open_store(config)
    answer = store.get_online_features(["company_activity:bids_all"], [{"company_id": "apex"}])
    return answer.to_dict()["bids_all"]
