import shutil
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from feast.protos.feast.core.Registry_pb2 import Registry

from bidrec.config import Config
from bidrec.errors import CannotWrite, ContractError, InputMissing
from bidrec.features.registry import apply, materialize, open_registry, open_store
from bidrec.storage import PARTIAL
from tests.asof.worlds import view, write
from tests.feature_repo.homes import day, write_home

BEGUN = datetime(2026, 1, 1, 3, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def config(tmp_path):
    config = Config(home=str(tmp_path / "home"))
    apply(config)
    return config


def file(config):
    return config.home_path / "feast" / "registry.db"


def noted(config, stretches):
    """What the registry says of a view that was materialised so."""
    store = open_store(config)
    for begin, end in stretches:
        view = store.get_feature_view("company_activity")
        store.registry.apply_materialization(view, store.project, begin, end)
    return open_store(config).get_feature_view("company_activity").materialization_intervals


def newer(content):
    registry = Registry.FromString(content)
    registry.registry_schema_version = "2"
    return registry.SerializeToString()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda content: b"\x1f\x8b not a registry", "garbled"),
        (lambda content: content[: len(content) // 2], "garbled"),
        (lambda content: b"", "format is not said"),
        (newer, "format is 2"),
    ],
    ids=["other bytes", "half of it", "nothing", "a newer format"],
)
@pytest.mark.parametrize("job", [apply, open_registry, open_store], ids=lambda job: job.__name__)
def test_a_registry_of_another_version_is_65_with_a_way_out_and_stays_as_it_is(config, spoil, said, job):
    spoilt = spoil(file(config).read_bytes())
    file(config).write_bytes(spoilt)
    with pytest.raises(ContractError, match=rf"registry\.db .*Feast 0.* can read: .*{said}.*move it away") as refused:
        job(config).list_feature_views() if job is open_store else job(config)
    assert refused.value.exit_code == 65
    assert file(config).read_bytes() == spoilt


def test_a_registry_that_cannot_be_written_stays_whole(config, monkeypatch):
    before = file(config).read_bytes()

    def full(partial, content):
        partial.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    registry, project = open_registry(config)
    with pytest.raises(CannotWrite, match="No space left"):
        registry.delete_feature_view("company_activity", project)
    assert file(config).read_bytes() == before
    assert list(file(config).parent.glob(f"*{PARTIAL}")) == []


def test_applying_a_copy_of_a_home_leaves_the_online_store_of_the_original_alone(config, tmp_path):
    copy = Config(home=str(tmp_path / "copy"))
    shutil.copytree(config.home_path, copy.home_path)
    registry, project = open_registry(copy)
    assert registry.get_infra(project).infra_objects == []
    online = config.home_path / "feast" / "online.db"
    before = online.read_bytes()
    apply(copy)
    assert online.read_bytes() == before


def test_a_copy_of_a_home_serves_its_own_rows_and_until_it_is_applied_none(tmp_path):
    """Of the original's, which go on, nothing is brought online in the copy."""
    config, copy = write_home(tmp_path / "home"), Config(home=str(tmp_path / "copy"))
    apply(config)
    shutil.copytree(config.home_path, copy.home_path)
    asked = pd.DataFrame({"company_id": ["apex"], "event_timestamp": [day(30)]})
    for read in (
        lambda: materialize(copy, ["company_activity"]),
        lambda: open_store(copy).get_historical_features(asked, ["company_activity:bids_all"]),
    ):
        with pytest.raises(InputMissing, match=r"its files lie in .*/home, says the registry of .*/copy") as refused:
            read()
        assert "bidrec feast apply" in refused.value.hint
    apply(copy)
    materialize(copy, ["company_activity"])
    online = open_store(copy).get_online_features(["company_activity:bids_all"], [{"company_id": "apex"}])
    assert online.to_dict()["bids_all"] == [2]


def test_a_home_that_is_reached_by_a_link_is_no_other_one(tmp_path):
    config = write_home(tmp_path / "home")
    apply(config)
    (tmp_path / "link").symlink_to("home")
    materialize(Config(home=str(tmp_path / "link")), ["company_activity"])


def test_a_file_of_one_s_own_may_lie_in_a_folder_that_is_named_as_one_of_a_home_s(tmp_path):
    config = write_home(tmp_path / "home")
    apply(config)
    (tmp_path / "features").mkdir()
    ratings = view(write(tmp_path / "features" / "ratings.parquet", [("apex", 1, 1)]), name="ratings")
    store = open_store(config)
    store.apply([ratings])
    asked = pd.DataFrame({"company_id": ["apex"], "event_timestamp": [day(30)]})
    assert store.get_historical_features(asked, ["ratings:value"]).to_df()["value"].tolist() == [0]
    materialize(config, ["ratings"])
    assert store.get_online_features(["ratings:value"], [{"company_id": "apex"}]).to_dict()["value"] == [0]


def test_an_online_store_that_was_deleted_is_made_again(config):
    online = config.home_path / "feast" / "online.db"
    online.unlink()
    apply(config)
    answer = open_store(config).get_online_features(["company_activity:bids_all"], [{"company_id": "apex"}])
    assert answer.to_dict()["bids_all"] == [None]


def test_an_online_store_that_is_torn_is_named_and_whole_again_by_the_way_that_is_told(tmp_path):
    """As a backup of a home has it that was made while a job wrote."""
    config = write_home(tmp_path / "home")
    apply(config)
    materialize(config, ["company_activity"])
    online = config.home_path / "feast" / "online.db"
    online.write_bytes(online.read_bytes()[: online.stat().st_size // 2])
    with pytest.raises(ContractError, match=r"the online store in .*/feast is damaged: .*malformed") as torn:
        materialize(config, ["company_activity"])
    assert f"delete {online};" in torn.value.hint
    online.unlink()
    apply(config)
    materialize(config, ["company_activity"])
    answer = open_store(config).get_online_features(["company_activity:bids_all"], [{"company_id": "apex"}])
    assert answer.to_dict()["bids_all"] == [2]


def test_the_registry_does_not_grow_with_every_materializing(config):
    """Hourly and from the beginning, as k8s/base/materialize.yaml does it: a year of these was 1.4 MB, read and
    written whole at every step."""
    said = [(datetime(1970, 1, 1, tzinfo=UTC), BEGUN + timedelta(hours=hours)) for hours in range(5)]
    assert noted(config, said) == [(datetime(1970, 1, 1, tzinfo=UTC), BEGUN + timedelta(hours=4))]


def test_what_was_materialized_piece_by_piece_is_one_stretch_and_a_gap_stays_a_gap(config):
    hour = timedelta(hours=1)
    pieces = [(BEGUN + 5 * hour, BEGUN + 6 * hour), (BEGUN + hour, BEGUN + 2 * hour), (BEGUN, BEGUN + hour)]
    assert noted(config, pieces) == [(BEGUN, BEGUN + 2 * hour), (BEGUN + 5 * hour, BEGUN + 6 * hour)]


def test_a_stretch_that_is_materialized_again_within_a_longer_one_does_not_shorten_it(config):
    hour = timedelta(hours=1)
    assert noted(config, [(BEGUN, BEGUN + 6 * hour), (BEGUN + hour, BEGUN + 2 * hour)]) == [(BEGUN, BEGUN + 6 * hour)]
