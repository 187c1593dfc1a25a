import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from feast.protos.feast.core.Registry_pb2 import Registry

from bidrec.config import Config
from bidrec.errors import CannotWrite, ContractError, InputMissing
from bidrec.features.feature_store import repository
from bidrec.features.registry import apply, materialize, open_registry, open_store
from bidrec.storage.whole import PARTIAL
from tests.asof.worlds import view, write
from tests.feature_repo.homes import day, write_home

BEGUN = datetime(2026, 1, 1, 3, 0, 0, 123456, tzinfo=UTC)
COMPUTED = """
import pandas as pd
from company_views import company_activity
from feast import Field
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Int64


@on_demand_feature_view(sources=[company_activity], schema=[Field(name="twice", dtype=Int64)], mode="pandas")
def doubled(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"twice": 2 * rows["bids_all"]})
"""
"""A view of a repository of one's own."""


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
    linked = Config(home=str(tmp_path / "link"))
    materialize(linked, ["company_activity"])
    online = open_store(linked).get_online_features(["company_activity:bids_all"], [{"company_id": "apex"}])
    assert online.to_dict()["bids_all"] == [2]


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


def holding(code: str, kind: str) -> Callable[[bytes], bytes]:
    """A registry's content with a view of a kind that has code of its own."""

    def changed(content: bytes) -> bytes:
        registry = Registry.FromString(content)
        view = getattr(registry, kind)[0] if kind == "feature_views" else getattr(registry, kind).add()
        view.spec.name, view.spec.project, view.spec.mode = "odd", "bidrec", "pandas"
        view.spec.feature_transformation.user_defined_function.body_text = code
        return registry.SerializeToString()

    return changed


@pytest.mark.parametrize("kind", ["feature_views", "on_demand_feature_views", "stream_feature_views"])
@pytest.mark.parametrize("job", [apply, open_store, open_registry], ids=lambda job: job.__name__)
def test_code_in_the_registry_is_refused_and_not_run(config, tmp_path, kind, job):
    """Feast runs it as soon as it lists the views; who may write the home would run it as the next job, with its
    passwords."""
    ran = tmp_path / "ran"
    code = f"open({str(ran)!r}, 'w')\ndef odd(rows):\n    return rows\n"
    file(config).write_bytes(holding(code, kind)(file(config).read_bytes()))
    with pytest.raises(ContractError, match="odd would run code") as refused:
        job(config).list_all_feature_views() if job is open_store else job(config)
    assert refused.value.exit_code == 65
    assert not ran.exists()


@pytest.mark.parametrize("taken", [False, True])
def test_a_view_that_computes_is_taken_where_feature_store_yaml_says_so(tmp_path, taken):
    repo = tmp_path / "repo"
    shutil.copytree(repository(), repo)
    (repo / "computed.py").write_text(COMPUTED)
    if taken:
        text = (repo / "feature_store.yaml").read_text()
        (repo / "feature_store.yaml").write_text(text.replace("registry:\n", "registry:\n  views_with_code: true\n"))
    config = Config(home=str(tmp_path / "home"), feature_repo=str(repo))
    if taken:
        apply(config)
        assert open_store(config).get_on_demand_feature_view("doubled").features[0].name == "twice"
    else:
        with pytest.raises(ContractError, match="doubled would run code") as refused:
            apply(config)
        assert "views_with_code: true" in refused.value.hint
        assert not Registry.FromString(file(config).read_bytes()).on_demand_feature_views
