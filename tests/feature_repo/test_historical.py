"""What plain Feast answers on this repository, as of any moment."""

import pandas as pd
import pytest
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus

from bidrec.features.registry import apply, materialize, open_store
from tests import tables
from tests.feature_repo.homes import MICROSECOND, VIEWS, day, write_home


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    config = write_home(tmp_path_factory.mktemp("home"))
    apply(config)
    materialize(config, VIEWS)
    return open_store(config)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def as_of(store, *questions, features=("company_profile:licences", "company_activity:bids_all")):
    """The answer to each (company, notice, moment), in that order."""
    asked = pd.DataFrame(questions, columns=["company_id", "notice_id", "event_timestamp"])
    asked["question"] = range(len(asked))
    answer = store.get_historical_features(asked, list(features)).to_df().sort_values("question")
    names = [name.split(":")[1] for name in features]
    table = answer[names].astype(object).where(answer[names].notna(), None)
    return [tuple(value.tolist() if hasattr(value, "tolist") else value for value in row) for row in table.values]


def test_a_version_counts_from_the_very_moment_at_which_it_became_known(store, elsewhere):
    assert as_of(
        store,
        ("apex", "road", day(10) - MICROSECOND),
        ("apex", "road", day(10)),
        ("apex", "road", day(20) - MICROSECOND),
        ("apex", "road", day(20)),
        features=["company_activity:bids_all"],
    ) == [(None,), (1,), (1,), (2,)]


def test_before_the_first_version_nothing_is_known(store, elsewhere):
    answers = as_of(store, ("apex", "road", day(5) - MICROSECOND), ("apex", "road", day(5)), ("nobody", "road", day(9)))
    assert answers == [(None, None), (["civil", "water"], None), (None, None)]


def test_the_newest_record_wins_over_an_older_fuller_one(store, elsewhere):
    assert as_of(store, ("apex", "road", day(14)), ("apex", "road", day(15))) == [(["civil", "water"], 1), (None, 1)]


def test_a_company_without_a_record_has_its_activity(store, elsewhere):
    assert as_of(store, ("bharat", "road", day(12))) == [(None, 1)]


def test_a_notice_is_known_from_its_publication_on_and_forever(store, elsewhere):
    features = ["notice_features:buyer_id", "notice_features:value_band"]
    answers = as_of(
        store,
        ("apex", "bridge", day(10) - MICROSECOND),
        ("apex", "bridge", day(10)),
        ("apex", "bridge", day(3650)),
        ("apex", "road", day(0)),
        features=features,
    )
    assert answers == [(None, None), ("b2", "19"), ("b2", "19"), ("b1", None)]


def test_the_whole_schema_can_be_asked_for_by_the_services_name(store, elsewhere):
    asked = pd.DataFrame([("apex", "bridge", day(20))], columns=["company_id", "notice_id", "event_timestamp"])
    service = store.get_feature_service("bidrec_v1")
    answer = store.get_historical_features(asked, service, full_feature_names=True).to_df()
    assert len(answer) == 1
    assert answer["notice_features__region"].isna().all()
    assert answer["company_profile__region"].tolist() == ["North"]


def test_the_lists_of_a_company_and_the_status_of_a_notice_are_as_of_the_moment_too(store, elsewhere):
    features = ["company_history:last_notices", "company_history:last_ages", "notice_status:closes_at"]
    closes_at = pd.Timestamp(tables.notice(0)["closes_at"])
    assert as_of(store, ("apex", "road", day(9)), ("apex", "road", day(20)), features=features) == [
        (None, None, closes_at),
        (["bridge", "road"], [0.0, 10.0], closes_at),
    ]


def test_online_features_are_the_newest_historical_ones(store, elsewhere):
    service = store.get_feature_service("bidrec_v1")
    keys = {"company_id": "apex", "notice_id": "bridge"}
    online = store.get_online_features(service, [keys], full_feature_names=True).to_dict()
    asked = pd.DataFrame([keys | {"event_timestamp": day(400)}])
    offline = store.get_historical_features(asked, service, full_feature_names=True).to_df().to_dict("records")[0]
    same = {name: same_value(online[name][0]) for name in offline if name != "event_timestamp"}
    assert same == {name: same_value(value) for name, value in offline.items() if name != "event_timestamp"}


def test_a_key_that_nobody_knows_has_no_features_online(store, elsewhere):
    answer = store.get_online_features(["company_activity:bids_all"], [{"company_id": "nobody"}])
    assert answer.to_dict()["bids_all"] == [None]
    [status] = answer.proto.results[answer.proto.metadata.feature_names.val[:].index("bids_all")].statuses
    assert FieldStatus.Name(status) == "NOT_FOUND"


def same_value(value):
    """NaN, NaT and NULL are one; lists and times compare by value."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return value
    if value is None or pd.isna(value):
        return None
    return pd.Timestamp(value).tz_convert("UTC") if hasattr(value, "tzinfo") else value
