import dataclasses
from datetime import timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bidrec.errors import ConfigurationError, ContractError, InputMissing
from bidrec.storage.sealed import content_of, write_manifest
from bidrec.training_set.arrays import TrainingSet
from bidrec.training_set.build import build_training_set
from bidrec.training_set.encoders import MISSING_TIME
from tests.training_set.tables import (
    ACTIVITY_FIELDS,
    NOTICE_FIELDS,
    PROFILE_FIELDS,
    config_of,
    day,
    field,
    schema_of,
    seconds,
    small_world,
    write_features,
)


def build(home, notices, bids, profiles=(), schema=None, fitted=None, folder="set", **split):
    schema = write_features(home, notices, bids, profiles, schema)
    build_training_set(config_of(home, **split), schema, home / folder, fitted)
    return TrainingSet.open(home / folder)


def words_of(ts, side, row):
    """The attributes of one row, decoded: field -> known values."""
    one = getattr(ts, side)
    values = pq.read_table(ts.folder / side / "vocabulary.parquet").to_pylist()
    name_of = {(v["field"], v["id"]): v["value"] for v in values}
    at = int(one.attribute_lengths[:row].sum())
    found = {}
    for attribute, length in zip(one.schema["attributes"], one.attribute_lengths[row], strict=True):
        ids = one.attribute_values[at : at + length] - attribute["base"]
        found[attribute["name"]] = [name_of.get((attribute["name"], int(i))) for i in ids]
        at += length
    return found


def test_pairs_point_at_what_was_known_when_the_notice_was_published(tmp_path):
    ts = build(tmp_path, *small_world())
    notices, companies = ts.notice_ids(), ts.company_ids()
    assert companies == ["apex", "bharat", "cosmos", "dormant"]
    found = {}
    for notice, company, version in zip(ts.pair_notice, ts.pair_company, ts.pair_version, strict=True):
        known = None if version < 0 else (int(ts.version_known_at[version]) - seconds(day(0))) / 86_400
        found[notices[notice], companies[company]] = known
    assert found["n00", "apex"] == 0
    assert found["n00", "bharat"] is None
    assert found["n01", "bharat"] == 5
    assert found["n03", "bharat"] == 23
    assert found["n04", "apex"] == 32
    assert found["n07", "cosmos"] is None
    assert found["n09", "cosmos"] == 70
    assert ts.manifest["rows"]["pairs_of_unknown_companies"] == 2


def test_progress_counts_the_fields_that_are_measured_and_fitted_and_the_rows_that_are_encoded(tmp_path):
    with capture_logs() as logs:
        ts = build(tmp_path, *small_world())
    told = {entry["event"]: entry["done"].split("/") for entry in logs if "done" in entry}
    fields = len(NOTICE_FIELDS) + len(PROFILE_FIELDS) + len(ACTIVITY_FIELDS)
    assert told["measuring fields"] == [str(fields)] * 2
    for side in ("notice", "profile", "version"):
        assert told[f"encoding {side}"] == [str(getattr(ts, side).rows)] * 2
    for table in ("notice", "profile", "activity"):
        done, whole = told[f"fitting {table}"]
        assert done == whole != "0"
    assert "counting the terms of title" in told


def test_a_static_record_without_a_new_bid_makes_a_version_too(tmp_path):
    ts = build(tmp_path, *small_world())
    rows = np.flatnonzero(ts.version_company == ts.company_ids().index("dormant"))
    assert len(rows) == 1
    assert ts.version_log_begin[rows] == ts.version_log_end[rows]
    assert ts.version_profile[rows] >= 0
    flag = ts.version.schema["dense_columns"].index("bids_all is missing")
    assert ts.version.dense[rows[0], flag] == 1
    assert ts.version.ages[rows[0], 0] == MISSING_TIME
    apex = np.flatnonzero((ts.version_company == 0) & (ts.version_known_at == seconds(day(30))))[0]
    assert ts.version_log_end[apex] - ts.version_log_begin[apex] == 3
    assert (ts.version.dense[apex] == ts.version.dense[apex - 1]).all()


def test_attributes_decode_to_the_words_they_came_from(tmp_path):
    ts = build(tmp_path, *small_world())
    assert words_of(ts, "notice", 0) == {
        "buyer_id": ["north"],
        "place": ["Shimla"],
        "attributes": ["cover=2", "mode=online"],
    }
    assert words_of(ts, "notice", 3)["attributes"] == ["cover=2", None]  # 'once=1' is too rare
    assert words_of(ts, "profile", 1) == {"region": ["HP"], "licences": ["road", None]}


def test_a_category_that_training_did_not_see_has_the_id_zero_of_its_field(tmp_path):
    ts = build(tmp_path, *small_world())
    assert words_of(ts, "notice", 9)["buyer_id"] == [None]
    assert words_of(ts, "notice", 3)["place"] == [None]


def test_a_null_or_empty_bag_is_one_missing_item(tmp_path):
    ts = build(tmp_path, *small_world())
    assert words_of(ts, "notice", 1)["attributes"] == words_of(ts, "notice", 2)["attributes"] == [None]
    assert ts.notice.attribute_lengths.min() == 1


def test_what_is_known_at_the_very_cutoff_is_no_row_that_anything_is_fitted_on(tmp_path):
    notices, bids, profiles = small_world()
    notices.append({**notices[0], "notice_id": "n10", "published_at": day(60)})
    bids.append(("n05", "cosmos", day(60), True))
    profiles.append({"company_id": "cosmos", "known_at": day(60), "region": "HP"})
    ts = build(tmp_path, notices, bids, profiles)
    times = {"notice": ts.notice_published_at, "profile": ts.profile_known_at, "version": ts.version_known_at}
    for side, known_at in times.items():
        assert ts.cutoff in known_at
        before = known_at[known_at < ts.cutoff]
        assert getattr(ts, side).schema["fit"] == {"rows": len(before), "latest": before.max(), "before": ts.cutoff}


def test_dense_columns_have_mean_zero_over_training_rows_and_flag_what_is_missing(tmp_path):
    ts = build(tmp_path, *small_world())
    assert ts.notice.schema["dense_columns"] == ["log_value", "log_value is missing"]
    training = ts.notice_published_at < ts.cutoff
    given = [10, None, 12, 14, 10, None, 12]
    there = [value for value in given if value is not None]
    values = ts.notice.dense[training]
    assert values[:, 1].tolist() == [value is None for value in given]
    assert values[1, 0] == 0
    decoded = values[[value is not None for value in given], 0] * np.std(there) + np.mean(there)
    np.testing.assert_allclose(decoded, there, rtol=1e-6)


def test_a_scale_tag_takes_the_logarithm_first(tmp_path):
    ts = build(tmp_path, *small_world())
    entry = ts.version.schema["dense"][0]
    row = np.flatnonzero((ts.version_company == 0) & (ts.version_known_at == seconds(day(32))))[0]
    np.testing.assert_allclose(ts.version.dense[row, 0] * entry["std"][0] + entry["mean"][0], np.log1p(4), rtol=1e-5)


def test_on_a_logarithmic_scale_too_what_is_missing_is_the_mean_and_flagged_and_no_zero(tmp_path):
    notices, bids, profiles = small_world()
    for notice, days in zip(notices, [3.0, None, 0.0, 8.0, None, 3.0, -1.0], strict=False):
        notice["lead_days"] = days
    schema = schema_of(tmp_path, (*NOTICE_FIELDS, field("lead_days", "Float64", "dense", scale="log1p")))
    ts = build(tmp_path, notices, bids, profiles, schema)
    assert ts.notice.schema["dense_columns"][-2:] == ["lead_days", "lead_days is missing"]
    training = ts.notice.dense[ts.notice_published_at < ts.cutoff, -2:]
    assert training[:, 1].tolist() == [0, 1, 0, 0, 1, 0, 0]
    assert training[[1, 4], 0].tolist() == [0, 0]
    there = np.log1p([3, 0, 8, 3, 0])  # below zero there is no logarithm
    decoded = training[[0, 2, 3, 5, 6], 0] * np.std(there) + np.mean(there)
    np.testing.assert_allclose(decoded, there, rtol=1e-5, atol=1e-6)


def test_extreme_values_are_clipped(tmp_path):
    notices, bids, profiles = small_world()
    notices[9]["log_value"] = 1e9
    notices[8]["log_value"] = float("inf")
    ts = build(tmp_path, notices, bids, profiles)
    assert ts.notice.dense[9].tolist() == [5, 0]
    assert ts.notice.dense[8].tolist() == [0, 1]


def test_a_notice_without_a_title_has_no_terms(tmp_path):
    ts = build(tmp_path, *small_world())
    assert (ts.notice.text_lengths == 0).tolist() == [i % 4 == 2 for i in range(10)]


def test_the_same_inputs_give_the_same_bytes(tmp_path):
    first = build(tmp_path, *small_world())
    schema = schema_of(tmp_path)
    again = build_training_set(config_of(tmp_path), schema, tmp_path / "again")
    assert content_of(first.manifest) == content_of(again)


ADDED = {
    "categorical": (field("method", "String", "categorical"), "open"),
    "bag": (field("keywords", "Array(String)", "bag"), ["a", "b"]),
    "dense": (field("covers", "Float64", "dense"), 2.0),
    "vector": (field("picture", "Array(Float32)", "vector"), [1.0, 2.0, 3.0]),
    "age": (field("budget_at", "UnixTimestamp", "age"), day(-5)),
    "text": (field("summary", "String", "text"), "도로 works"),
}


@pytest.mark.parametrize("kind", ADDED)
def test_one_more_tagged_column_flows_into_the_arrays_of_every_side(tmp_path, kind):
    added, value = ADDED[kind]
    schema = schema_of(
        tmp_path, (*NOTICE_FIELDS, added), (*PROFILE_FIELDS, added), (*ACTIVITY_FIELDS, dataclasses.replace(added))
    )
    notices, bids, profiles = small_world()
    ts = build(
        tmp_path,
        [{**n, added.name: value} for n in notices],
        bids,
        [{**p, added.name: value} for p in profiles],
        schema,
    )
    for side in (ts.notice, ts.profile, ts.version):
        names = {
            "categorical": [a["name"] for a in side.schema["attributes"]],
            "bag": [a["name"] for a in side.schema["attributes"]],
            "dense": side.schema["dense_columns"],
            "vector": [d["name"] for d in side.schema["dense"] if d["vector"]],
            "age": side.schema["ages"],
            "text": [t["name"] for t in side.schema["text"]],
        }[kind]
        assert added.name in names
    if kind == "text":
        title, summary = ts.notice.schema["text"]
        assert (summary["base"], summary["buckets"], ts.notice.text_rows) == (65_536, 65_536, 2 * 65_536)
        assert ts.notice.text_values.max() >= title["buckets"]
        assert np.square(ts.notice.text_weights[: ts.notice.text_lengths[0]]).sum() == pytest.approx(2)
    if kind == "vector":
        assert ts.notice.schema["dense_columns"][-3:] == ["picture[0]", "picture[1]", "picture[2]"]
    if kind == "bag":
        assert words_of(ts, "notice", 5)["keywords"] == ["a", "b"]


def test_a_column_the_service_names_but_the_table_lacks_is_refused(tmp_path):
    write_features(tmp_path, *small_world())
    schema = schema_of(tmp_path, (*NOTICE_FIELDS, field("method", "String", "categorical")))
    with pytest.raises(ContractError, match="notice has no column method"):
        build_training_set(config_of(tmp_path), schema, tmp_path / "set")


def test_a_column_that_no_field_names_is_told_to_who_has_forgotten_it(tmp_path):
    write_features(tmp_path, *small_world())
    forgotten = tuple(one for one in NOTICE_FIELDS if one.name != "place")
    with capture_logs() as logs:
        build_training_set(config_of(tmp_path), schema_of(tmp_path, forgotten), tmp_path / "set")
    (told,) = [entry for entry in logs if entry["event"].startswith("nobody reads")]
    assert (told["view"], told["columns"]) == ("notice_features", ["place"])


def test_every_field_whose_column_does_not_suit_its_tag_is_named(tmp_path):
    write_features(tmp_path, *small_world())
    wrong = (field("title", "String", "dense"), field("log_value", "Float64", "age"), field("place", "String", "bag"))
    with pytest.raises(ContractError) as caught:
        build_training_set(config_of(tmp_path), schema_of(tmp_path, wrong), tmp_path / "set")
    assert caught.value.message == (
        "notice: title is VARCHAR, which cannot be read as dense; "
        "log_value is DOUBLE, which cannot be read as age; place is VARCHAR, which cannot be read as bag"
    )


def test_a_service_without_one_notice_and_two_company_views_is_refused(tmp_path):
    schema = write_features(tmp_path, *small_world())
    with pytest.raises(ContractError, match="has no version view"):
        build_training_set(config_of(tmp_path), dataclasses.replace(schema, views=schema.views[:2]), tmp_path / "set")
    twice = dataclasses.replace(schema, views=(*schema.views, schema.views[0]))
    with pytest.raises(ContractError, match="has two notice views, notice_features and notice_features"):
        build_training_set(config_of(tmp_path), twice, tmp_path / "set")


def test_a_bid_on_a_notice_that_is_not_there_is_refused(tmp_path):
    schema = write_features(tmp_path, *small_world())
    path = tmp_path / "features" / "notice" / "000001.parquet"
    pq.write_table(pq.ParquetFile(path).read().slice(1), path)
    write_manifest(tmp_path / "features", kind="features")
    with pytest.raises(ContractError, match=r"notice of 2 bids is not among the notices .for example n00"):
        build_training_set(config_of(tmp_path), schema, tmp_path / "set")


def test_feature_tables_that_were_changed_since_they_were_written_are_not_read(tmp_path):
    schema = write_features(tmp_path, *small_world())
    path = tmp_path / "features" / "company_activity" / "000001.parquet"
    pq.write_table(pq.ParquetFile(path).read(), path, compression="gzip")
    with pytest.raises(ContractError, match=f"{path} is damaged"):
        build_training_set(config_of(tmp_path), schema, tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_a_version_known_a_fraction_of_a_second_after_the_publication_is_not_used(tmp_path):
    notices, bids, _ = small_world()
    bids = [("n00", "apex", notices[1]["published_at"] + timedelta(microseconds=500), False), *bids[2:]]
    notices[1]["published_at"] += timedelta(microseconds=400)
    ts = build(tmp_path, notices, bids)
    second = int(np.flatnonzero((ts.pair_notice == 1) & (ts.pair_company == 0))[0])
    assert ts.pair_version[second] == -1


def test_an_all_null_column_reads_as_missing_everywhere(tmp_path):
    notices, bids, profiles = small_world()
    empty = dict.fromkeys(("log_value", "place", "attributes", "title"))
    ts = build(tmp_path, [{**n, **empty} for n in notices], bids, profiles)
    assert ts.notice.dense[:, 0].tolist() == [0] * 10
    assert [a["size"] for a in ts.notice.schema["attributes"]] == [3, 1, 1]
    assert len(ts.notice.text_values) == 0


def test_companies_without_any_profile_are_built_from_their_bids(tmp_path):
    notices, bids, _ = small_world()
    ts = build(tmp_path, notices, bids)
    assert ts.profile.rows == 0
    assert (ts.version_profile == -1).all()
    assert ts.company_ids() == ["apex", "bharat", "cosmos"]


def test_one_company_alone_is_a_training_set(tmp_path):
    notices, bids, _ = small_world()
    ts = build(tmp_path, notices, [b for b in bids if b[1] == "apex"])
    assert ts.companies == 1
    assert ts.pair_version.tolist() == list(range(-1, 9))


def test_a_test_window_without_bids_names_the_days_that_have_some(tmp_path):
    notices, bids, profiles = small_world()
    with pytest.raises(ConfigurationError, match=r"none of the 3 notices drew a bid in the test window") as caught:
        build(tmp_path, notices, [b for b in bids if b[0] < "n07"], profiles)
    assert "2024-01-01 to 2024-02-24" in str(caught.value.hint)
    with pytest.raises(ConfigurationError, match="no notice was published in the test window"):
        build(tmp_path, notices, bids, profiles, train_before=300, test_before=400, validation_days=250)


def test_empty_tables_and_absent_features_are_missing_input(tmp_path):
    with pytest.raises(InputMissing, match="no feature tables"):
        build_training_set(config_of(tmp_path), schema_of(tmp_path), tmp_path / "set")
    notices, _, profiles = small_world()
    with pytest.raises(InputMissing, match="there is no bid"):
        build(tmp_path, notices, [], profiles)
    with pytest.raises(InputMissing, match="there is no notice"):
        build(tmp_path, [], [])


def test_new_rows_are_read_with_an_earlier_fit(tmp_path):
    notices, bids, profiles = small_world()
    first = build(tmp_path, notices, bids, profiles)
    notices.append({**notices[0], "notice_id": "n10", "published_at": day(95), "buyer_id": "north"})
    later = build(tmp_path, notices, bids, profiles, fitted=first.folder, folder="later")
    assert later.notice.rows == 11
    assert later.cutoff == first.cutoff
    assert (later.notice.dense[:10] == first.notice.dense).all()
    assert (later.notice.text_weights[: len(first.notice.text_weights)] == first.notice.text_weights).all()
    assert words_of(later, "notice", 10) == words_of(first, "notice", 0)
    schema = schema_of(tmp_path, NOTICE_FIELDS[1:])
    with pytest.raises(ContractError, match="changed since the run was trained: notice title"):
        build_training_set(config_of(tmp_path), schema, tmp_path / "other", first.folder)


def test_in_how_many_segments_and_in_what_order_the_rows_come_makes_no_difference(tmp_path):
    notices, bids, profiles = small_world()
    notices.append({**notices[1], "notice_id": "n10"})  # published with n01, and opened with it
    bids += [("n10", company, day(14), True) for company in ("apex", "bharat")]
    schema = write_features(tmp_path, notices, bids, profiles)
    first = build_training_set(config_of(tmp_path), schema, tmp_path / "set")
    for path in list((tmp_path / "features").glob("*/000001.parquet")):
        table = pq.ParquetFile(path).read()
        table = table.take(list(range(table.num_rows))[::-1])
        pq.write_table(table.slice(0, 3), path)
        pq.write_table(table.slice(3), path.with_name("000002.parquet"))
    write_manifest(tmp_path / "features", kind="features")
    again = build_training_set(config_of(tmp_path), schema, tmp_path / "again")
    assert content_of(again) == content_of(first)


moments = st.integers(0, 89)


@settings(deadline=None, max_examples=10)
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from("abc"), st.integers(0, 3)), max_size=20, unique_by=lambda b: b[:2]
    ),
    st.lists(st.tuples(st.sampled_from("abcd"), moments), max_size=6, unique=True),
)
def test_each_pair_sees_exactly_the_bids_and_the_profile_of_its_company_known_then(tmp_path_factory, bids, profiles):
    home = tmp_path_factory.mktemp("home")
    notices = [{"notice_id": f"n{i}", "published_at": day(i * 9)} for i in range(10)]
    bids = [(f"n{i}", company, day(i * 9 + 9 * lag), False) for i, company, lag in bids]
    bids += [(f"n{i}", "z", day(i * 9 + 1), False) for i in (0, 5, 8)]
    profiles = [{"company_id": company, "known_at": day(at)} for company, at in profiles]
    ts = build(home, notices, bids, profiles)
    companies = ts.company_ids()
    secret = {(b[0], b[1]) for b in bids if b[2] > day(int(b[0][1:]) * 9)}
    assert {(f"n{n}", companies[c]) for n, c in zip(ts.pair_notice, ts.pair_company, strict=True)} == secret
    assert ts.manifest["rows"]["bids_public_at_publication"] == len(bids) - len(secret)
    for notice, company, version in zip(ts.pair_notice, ts.pair_company, ts.pair_version, strict=True):
        as_of, name = day(int(notice) * 9), companies[company]
        seen = sorted(b[0] for b in bids if b[1] == name and b[2] <= as_of)
        profile = max(
            (p["known_at"] for p in profiles if p["company_id"] == name and p["known_at"] <= as_of), default=None
        )
        assert (version >= 0) == bool(seen or profile)
        if version >= 0:
            events = ts.log_notice[ts.version_log_begin[version] : ts.version_log_end[version]]
            assert sorted(f"n{i}" for i in events) == seen
            row = ts.version_profile[version]
            assert (None if row < 0 else int(ts.profile_known_at[row])) == (profile and seconds(profile))
