"""Each rule of the leak audit, broken once in the written files."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from structlog.testing import capture_logs

from bidrec.errors import ContractError
from bidrec.storage.sealed import read_json, write_json, write_manifest
from bidrec.training_set.arrays import TrainingSet
from bidrec.training_set.build import build_training_set
from bidrec.training_set.leak_audit import audit_training_set
from tests.training_set.tables import config_of, small_world, write_features


@pytest.fixture
def folder(tmp_path):
    schema = write_features(tmp_path, *small_world())
    build_training_set(config_of(tmp_path), schema, tmp_path / "set")
    return tmp_path / "set"


def change(folder, name, row, value):
    path = folder / f"{name}.npy"
    array = np.load(path)
    array[row] = value
    np.save(path, array)


OTHERS = "pairs are not the bid of the log in their place"
PAIR_ARRAYS = ("notice", "company", "version", "known_at")


def keep_pairs(folder, rows):
    """Only these pairs, in this order."""
    for name in PAIR_ARRAYS:
        path = folder / "pairs" / f"{name}.npy"
        np.save(path, np.load(path)[rows])


def refused(folder, message, block_rows=3):
    with pytest.raises(ContractError, match=message) as caught:
        audit_training_set(folder, block_rows=block_rows)
    assert caught.value.exit_code == 65


def version_of(ts, company):
    """A version of the company in the middle of its history, with bids before and after it."""
    rows = np.flatnonzero(ts.version_company == company)
    return int(rows[len(rows) // 2])


def pair_with_version(ts):
    rows = np.flatnonzero((ts.pair_version >= 0) & (ts.pair_company == 0))
    return int(rows[len(rows) // 2])


def test_what_was_built_passes_in_blocks_of_any_size(folder):
    expected = {"pairs": 22, "versions": 26, "fitted_rows": 7 + 4 + (29 - 7 - 4), "violations": 0}
    assert json.loads((folder / "manifest.json").read_text())["audit"] == expected
    for block_rows in (1, 3, 1000):
        assert audit_training_set(folder, block_rows=block_rows) == expected


def test_it_tells_how_far_it_is_until_every_row_was_looked_at(folder):
    ts = TrainingSet.open(folder)
    rows = 2 * len(ts.pair_notice) + 2 * ts.version.rows + ts.notice.rows + ts.profile.rows
    with capture_logs() as told:
        audit_training_set(folder, block_rows=3)
    done = [event["done"] for event in told if event["event"] == "auditing"]
    assert len(done) > 3
    assert done[-1] == f"{rows}/{rows}"


def test_a_version_known_after_the_publication_is_a_leak(folder):
    ts = TrainingSet.open(folder)
    pair = pair_with_version(ts)
    change(folder, "pairs/version", pair, ts.pair_version[pair] + 1)
    refused(folder, r"1 pairs use a version known after their notice's publication \(for example pair \d+: notice row")


def test_a_version_known_a_second_after_the_publication_is_a_leak(folder):
    ts = TrainingSet.open(folder)
    pair = pair_with_version(ts)
    change(folder, "notice/published_at", ts.pair_notice[pair], ts.version_known_at[ts.pair_version[pair]] - 1)
    refused(folder, "2 pairs use a version known after their notice's publication")


def test_a_stale_version_is_refused(folder):
    ts = TrainingSet.open(folder)
    pair = pair_with_version(ts)
    change(folder, "pairs/version", pair, ts.pair_version[pair] - 1)
    refused(folder, "1 pairs do not use the newest version known by then")


def test_calling_a_known_company_unknown_is_refused(folder):
    change(folder, "pairs/version", pair_with_version(TrainingSet.open(folder)), -1)
    refused(folder, "1 pairs do not use the newest version known by then .*, none")


def test_another_companys_version_is_refused(folder):
    ts = TrainingSet.open(folder)
    change(folder, "pairs/version", pair_with_version(ts), np.flatnonzero(ts.version_company == 1)[0])
    refused(folder, "1 pairs use another company's version")


def test_a_bid_that_was_public_with_its_notice_is_a_leak(folder):
    ts = TrainingSet.open(folder)
    change(folder, "pairs/known_at", 4, ts.notice_published_at[ts.pair_notice[4]])
    refused(folder, f"1 {OTHERS} .for example pair 4: notice row 2")


def test_sealed_bids_that_are_public_a_second_after_their_notice_are_a_leak(folder):
    ts = TrainingSet.open(folder)
    change(folder, "pairs/known_at", slice(None), ts.notice_published_at[ts.pair_notice] + 1)
    for block_rows in (1, 3, 1000):
        refused(folder, f"{OTHERS} .for example pair 0: notice row 0", block_rows)


def test_bids_of_the_log_that_are_no_pair_are_refused(folder):
    keep_pairs(folder, slice(None, None, 2))
    for block_rows in (1, 3, 1000):
        refused(folder, f"{OTHERS} .*, not notice row 0, company row 1", block_rows)


def test_a_notice_without_its_pairs_is_refused_wherever_it_stands(folder):
    ts = TrainingSet.open(folder)
    for notice in (0, 5, int(ts.pair_notice[-1])):
        before = {name: np.load(folder / "pairs" / f"{name}.npy") for name in PAIR_ARRAYS}
        keep_pairs(folder, before["notice"] != notice)
        refused(folder, OTHERS, block_rows=1)
        for name, array in before.items():
            np.save(folder / "pairs" / f"{name}.npy", array)


def test_a_set_without_a_pair_for_the_bids_of_its_log_is_refused(folder):
    keep_pairs(folder, slice(0))
    refused(folder, f"22 {OTHERS} .for example pair 0: none, not notice row 0")


def test_a_pair_twice_is_refused(folder):
    keep_pairs(folder, [*range(22), 21])
    refused(folder, f"1 {OTHERS} .for example pair 22: notice row 9.*, not none")


def test_a_pair_of_a_company_that_never_bid_on_the_notice_is_refused(folder):
    ts = TrainingSet.open(folder)
    dormant = 3
    change(folder, "pairs/company", -1, dormant)
    change(folder, "pairs/version", -1, np.flatnonzero(ts.version_company == dormant)[-1])
    refused(folder, f"1 {OTHERS} .for example pair 21: notice row 9, company row 3")


def test_pairs_out_of_order_are_refused(folder):
    keep_pairs(folder, slice(None, None, -1))
    refused(folder, r"\d pair rows are out of order by notice and company .for example row 1")


def test_notices_out_of_order_are_refused(folder):
    ts = TrainingSet.open(folder)
    change(folder, "notice/published_at", 4, ts.notice_published_at[3] - 1)
    refused(folder, "1 notice rows are out of order by publication .for example row 4")


def test_a_bid_known_after_the_version_is_a_leak(folder):
    ts = TrainingSet.open(folder)
    version = version_of(ts, 1)
    change(folder, "version/log_end", version, ts.version_log_end[version] + 1)
    refused(folder, "1 versions have a bid in their history known later .for example version")


def test_a_log_event_dated_later_than_the_version_that_holds_it_is_a_leak(folder):
    ts = TrainingSet.open(folder)
    last = np.flatnonzero(ts.log_company == 2)[-1]
    change(folder, "log/known_at", last, ts.log_known_at[last] + 1)
    refused(folder, "1 versions have a bid in their history known later")


def test_a_history_that_reaches_into_another_companys_events_is_refused(folder):
    ts = TrainingSet.open(folder)
    first = int(np.flatnonzero(ts.version_company == 1)[0])
    with_bids = first + int(np.flatnonzero(ts.version_log_end[first:] > ts.version_log_begin[first:])[0])
    change(folder, "version/log_begin", with_bids, ts.version_log_begin[with_bids] - 1)
    refused(folder, "1 versions have bids of another company in their history")


def test_a_history_that_lost_its_oldest_or_newest_bids_is_refused(folder):
    ts = TrainingSet.open(folder)
    version = version_of(ts, 0)
    change(folder, "version/log_end", version, ts.version_log_end[version] - 1)
    refused(folder, "1 versions miss bids known by then")
    change(folder, "version/log_end", version, ts.version_log_end[version])
    change(folder, "version/log_begin", version, ts.version_log_begin[version] + 1)
    refused(folder, "1 versions miss their company's first bids")


def test_a_profile_known_after_the_version_is_a_leak(folder):
    ts = TrainingSet.open(folder)
    first = int(np.flatnonzero(ts.version_company == 0)[0])
    change(folder, "version/profile", first, ts.version_profile[first] + 1)
    refused(folder, "1 versions point at a profile known later")


def test_a_profile_dated_a_second_after_the_version_that_points_at_it_is_a_leak(folder):
    ts = TrainingSet.open(folder)
    row = int(np.flatnonzero(ts.profile_company == 1)[0])
    change(folder, "profile/known_at", row, ts.profile_known_at[row] + 1)
    refused(folder, "versions point at a profile known later")


def test_a_missed_or_foreign_profile_is_refused(folder):
    ts = TrainingSet.open(folder)
    change(folder, "version/profile", version_of(ts, 1), -1)
    refused(folder, "1 versions miss a newer profile")
    change(folder, "version/profile", version_of(ts, 1), 0)
    refused(folder, "1 versions point at another company's profile")


def test_a_pointer_to_nowhere_is_refused(folder):
    change(folder, "pairs/version", 0, 10_000)
    refused(folder, "pair version lies outside")


@pytest.mark.parametrize("name", ["log", "profile"])
def test_a_log_or_profiles_out_of_order_are_refused(folder, name):
    company = getattr(TrainingSet.open(folder), f"{name}_company")
    first = int(np.flatnonzero(company[1:] == company[:-1])[0])
    known_at = np.load(folder / name / "known_at.npy")[[first + 1, first]]
    change(folder, f"{name}/known_at", slice(first, first + 2), known_at)
    refused(folder, f"1 {name} rows are out of order by company and time .for example row {first + 1}")


def test_versions_out_of_order_are_refused(folder):
    ts = TrainingSet.open(folder)
    change(folder, "version/known_at", version_of(ts, 0), ts.version_known_at[0])
    refused(folder, "1 version rows are out of order")


def rewrite_schema(folder, edit):
    path = folder / "schema.json"
    schema = read_json(path)
    edit(schema)
    write_json(path, schema)


def test_a_fit_that_states_a_row_of_the_test_window_is_a_leak(folder):
    cutoff = TrainingSet.open(folder).cutoff
    rewrite_schema(folder, lambda s: s["notice"]["fit"].update(latest=cutoff))
    refused(folder, "notice: fitted on rows up to")
    rewrite_schema(folder, lambda s: s["notice"]["fit"].update(latest=cutoff - 1, rows=6))
    refused(folder, "notice: fitted on 6 rows, but 7 were known before the cutoff")


def test_a_vocabulary_counted_over_later_rows_is_a_leak(folder):
    path = folder / "notice" / "vocabulary.parquet"
    table = pq.ParquetFile(path).read()
    rows = table["rows"].to_numpy().copy()
    rows[0] += 1
    pq.write_table(table.set_column(3, "rows", pa.array(rows)), path)
    refused(folder, "1 notice values were counted on other rows than the training rows .for example buyer_id 'north'")


@pytest.mark.parametrize("rows", [10, 4])
def test_an_idf_of_more_or_fewer_rows_is_a_leak(folder, rows):
    idf = np.load(folder / "notice" / "idf.npy")
    titles_with_it = np.exp(idf.max() - idf) - 1
    change(folder, "notice/idf", slice(None), np.log((1 + rows) / (1 + titles_with_it)) + 1)
    refused(folder, "notice terms have an IDF of other rows than the training rows")


def test_a_scale_of_other_rows_is_a_leak(folder):
    dense = np.load(folder / "notice" / "dense.npy")
    change(folder, "notice/dense", slice(None), dense + np.array([0.1, 0], np.float32))
    refused(
        folder, r"1 notice columns are scaled on other rows than the training rows .for example log_value: mean 0\.1"
    )


def test_a_scale_of_rows_that_spread_less_is_a_leak_though_the_mean_is_right(folder):
    dense = np.load(folder / "notice" / "dense.npy")
    change(folder, "notice/dense", slice(None), dense * np.array([1.5, 1], np.float32))
    square = 1.5**2 * 5 / 7  # two of the training rows state no value
    refused(folder, f"1 notice columns are scaled on other rows .* log_value: mean -?0.0000, mean square {square:.4f}")


def test_a_leak_in_the_feature_tables_leaves_no_training_set_behind(tmp_path):
    schema = write_features(tmp_path, *small_world())
    path = tmp_path / "features" / "company_activity" / "000001.parquet"
    table = pq.ParquetFile(path).read()
    lengths = table["history_length"].to_numpy().copy()
    lengths[2] += 1
    column = table.column_names.index("history_length")
    pq.write_table(table.set_column(column, "history_length", pa.array(lengths)), path)
    write_manifest(tmp_path / "features", kind="features")
    with pytest.raises(ContractError, match="versions have a bid in their history known later"):
        build_training_set(config_of(tmp_path), schema, tmp_path / "set")
    assert not (tmp_path / "set").exists()
    assert {p.name for p in tmp_path.iterdir()} == {"features"}
