"""What readers of the online store meet after publications that were missed, repeated, killed or out of order."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bidrec.config import Config
from bidrec.features.feature_store import repository
from bidrec.features.registry import apply, materialize, open_store
from bidrec.publishing.recommend import Published
from bidrec.publishing.version import next_moment, published_folder
from bidrec.publishing.write_back import VIEWS
from bidrec.storage.sealed import read_manifest
from tests.publishing.versions import CLOSES_AT, publish


@pytest.fixture(scope="module")
def applied(tmp_path_factory):
    config = Config(home=str(tmp_path_factory.mktemp("home")))
    apply(config)
    return config


def runs_online(config, *companies):
    """The run of each company's vector, which must be that of its list, or None where neither has a value."""
    rows = [{"company_id": company} for company in companies]
    columns = ["company_embedding:run_id", "company_recommendations:run_id"]
    answer = open_store(config).get_online_features(columns, rows, full_feature_names=True).to_dict()
    assert answer["company_embedding__run_id"] == answer["company_recommendations__run_id"]
    return answer["company_embedding__run_id"]


def test_what_the_newest_publication_lacks_reads_as_nothing_whatever_publications_were_missed(applied):
    publish(applied.home_path, ["apex", "bharat"], ["road", "bridge"], run="first")
    materialize(applied, VIEWS)
    publish(applied.home_path, ["apex"], ["road"], run="missed")
    publish(applied.home_path, ["apex"], ["road"], run="second")
    materialize(applied, VIEWS)
    assert runs_online(applied, "apex", "bharat", "nobody") == ["second", None, None]
    features = ["notice_recommendations:company_ids", "notice_recommendations:scores", "notice_embedding:embedding"]
    answer = open_store(applied).get_online_features(features, [{"notice_id": "road"}, {"notice_id": "bridge"}])
    gone = answer.to_df().set_index("notice_id").loc["bridge"]
    assert gone.isna().all()
    assert answer.to_dict()["company_ids"][0] == ["apex"]
    publish(applied.home_path, ["bharat"], ["bridge"], run="third")
    materialize(applied, VIEWS)
    assert runs_online(applied, "apex", "bharat") == [None, "third"]


def test_every_entry_of_a_list_says_until_when_it_holds(applied):
    publish(applied.home_path, ["apex"], ["road", "bridge"], run="first")
    materialize(applied, VIEWS)
    store, key = open_store(applied), {"company_id": "apex", "notice_id": "road"}
    company = store.get_online_features(["company_recommendations:closes_at"], [key]).to_dict()
    notice = store.get_online_features(["notice_recommendations:closes_at"], [key]).to_dict()
    assert company["closes_at"] == [[CLOSES_AT, CLOSES_AT]]
    assert notice["closes_at"] == [CLOSES_AT]


def test_feasts_own_materialize_of_an_older_range_brings_no_older_publication_back(applied):
    publish(applied.home_path, ["apex"], run="older")
    materialize(applied, VIEWS)
    newest = publish(applied.home_path, ["apex"], run="newer")
    materialize(applied, VIEWS)
    before = datetime.fromisoformat(newest["written_at"]) - timedelta(microseconds=1)
    open_store(applied).materialize(datetime(1970, 1, 1, tzinfo=UTC), before, feature_views=list(VIEWS))
    assert runs_online(applied, "apex") == ["newer"]


KEYS = st.sets(st.sampled_from("abcdef"), min_size=1)


@settings(max_examples=15, deadline=None)
@given(publications=st.lists(KEYS, min_size=1, max_size=4))
@example(publications=[{"a", "b"}, *[{"a"}] * 4])  # the one with b is on disk no more when the last is published
def test_a_version_holds_every_key_ever_published_and_values_of_its_own_alone(tmp_path_factory, publications):
    home = tmp_path_factory.mktemp("home")
    for number, keys in enumerate(publications):
        manifest = publish(home, sorted(keys), run=f"run{number}")
    rows = duckdb.execute(
        "SELECT company_id, run_id, len(embedding), written_at FROM read_parquet(?) ORDER BY company_id",
        [f"{published_folder(home)}/company_embedding*.parquet"],
    ).fetchall()
    newest, ever = publications[-1], set().union(*publications)
    written_at = datetime.fromisoformat(manifest["written_at"])
    assert rows == [
        (key, *((f"run{len(publications) - 1}", 8) if key in newest else (None, None)), written_at)
        for key in sorted(ever)
    ]
    assert manifest["rows"]["company_embedding"] == len(newest)
    assert manifest["withdrawn"]["company_embedding"] == len(ever - newest)


@pytest.mark.parametrize("set_back", [True, False], ids=["to the version before", "to nothing"])
def test_a_link_that_was_set_by_hand_leaves_nothing_of_the_version_it_pointed_at_online(tmp_path, set_back):
    good = publish(tmp_path, ["apex"], run="good")["version"]
    publish(tmp_path, ["apex", "bharat"], run="bad")
    published_folder(tmp_path).unlink()
    published_folder(tmp_path).symlink_to(good if set_back else "gone")
    assert publish(tmp_path, ["apex"], run="next")["withdrawn"]["company_embedding"] == 1


def test_a_publication_is_later_than_the_one_before_though_the_clock_was_set_back():
    ahead = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert next_moment({"written_at": ahead}) > datetime.fromisoformat(ahead)


def test_who_has_opened_a_version_reads_it_to_its_end_while_two_newer_ones_are_published(tmp_path):
    versions = [publish(tmp_path, ["apex", "bharat"], run="run0")["version"]]
    opened = Published(tmp_path)
    before = opened.companies_for("road", 2)
    for run in ("run1", "run2"):
        versions.append(publish(tmp_path, ["apex", "bharat"], run=run)["version"])
        assert opened.companies_for("road", 2) == before
    versions.append(publish(tmp_path, ["apex", "bharat"], run="run3")["version"])
    left = [path.name for path in (tmp_path / "published").iterdir() if not path.is_symlink()]
    assert sorted(left) == versions[1:]


def test_readers_have_a_version_at_every_moment_of_a_flip_which_is_on_the_disk_in_the_end(tmp_path, monkeypatch):
    publish(tmp_path, ["apex"], run="first")
    current, seen, synced = published_folder(tmp_path), [], []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    for name in ("rename", "replace", "unlink", "symlink"):
        done = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *of, done=done, **how: (done(*of, **how), seen.append(current.exists())))
    publish(tmp_path, ["apex"], run="second")
    assert len(seen) > 2
    assert all(seen)
    assert synced[-2:] == [(tmp_path / "published").stat().st_ino] * 2  # the version's name, then the link


def test_a_publication_that_fails_halfway_leaves_readers_what_they_had(tmp_path, monkeypatch):
    home = tmp_path / "home"
    before = publish(home, ["apex"], run="whole")

    def refuse(folder):
        raise OSError("no space")

    monkeypatch.setattr("tests.publishing.versions.in_words", refuse)
    with pytest.raises(OSError, match="no space"):
        publish(home, ["apex", "bharat"], run="half")
    assert (read_manifest(published_folder(home)) or {})["run"] == "whole"
    assert sorted(path.name for path in (home / "published").iterdir()) == sorted([before["version"], "current"])


def test_what_a_killed_write_back_left_is_swept_by_the_next(tmp_path):
    published = tmp_path / "published"
    (published / ".20250101T000000000000Z-killed.a1b2.partial").mkdir(parents=True)
    (published / ".current.new").symlink_to("20250101T000000000000Z-killed")
    version = publish(tmp_path, ["apex"])["version"]
    assert sorted(path.name for path in published.iterdir()) == sorted([version, "current"])


MATERIALIZE = """
import sys
from bidrec.config import Config
from bidrec.features.registry import materialize
materialize(Config(home=sys.argv[1], feature_store=sys.argv[2]), ["company_embedding"])
"""


def test_a_view_whose_materialization_was_killed_is_served_and_is_whole_again_after_the_next_job(tmp_path):
    from feast.feature_view import FeatureViewState

    store = tmp_path / "store.yaml"
    store.write_text((repository() / "feature_store.yaml").read_text().replace("batch_size: 10000", "batch_size: 500"))
    config = Config(home=str(tmp_path / "home"), feature_store=str(store))
    apply(config)
    companies = [f"c{number:05d}" for number in range(10_000)]
    publish(config.home_path, companies[:1], run="before")
    materialize(config, VIEWS)
    publish(config.home_path, companies, run="killed")

    job = subprocess.Popen(
        [sys.executable, "-c", MATERIALIZE, config.home, config.feature_store], stderr=subprocess.DEVNULL
    )
    try:
        while values_online(config) <= 2:
            assert job.poll() is None, "the job ended before it could be killed"
            time.sleep(0.01)
    finally:
        os.kill(job.pid, signal.SIGKILL)
        job.wait()
    assert 2 < values_online(config) < 2 * len(companies)
    assert open_store(config).get_feature_view("company_embedding").state == FeatureViewState.MATERIALIZING
    half = open_store(config).get_online_features(
        ["company_embedding:run_id"], [{"company_id": company} for company in companies]
    )
    runs = half.to_dict()["run_id"]
    assert set(runs[1:]) == {"killed", None}  # None: not published before
    assert runs[0] in ("before", "killed")

    materialize(config, ["company_recommendations"])
    assert runs_online(config, *companies[::20]) == ["killed"] * 500
    assert values_online(config) == 2 * len(companies)


def values_online(config):
    """How many values the SQLite online store holds of company_embedding: two features a company."""
    with closing(sqlite3.connect(config.home_path / "feast" / "online.db", timeout=60)) as connection:
        return connection.execute("SELECT count(*) FROM bidrec_company_embedding").fetchone()[0]
