"""Feast's Spark store on this repository, beside ours, on the pairs of an invented market: one Java process for all.

The views are those of feature_repo, and a test's own whose rows become known later than they happened: without it the
filter on the created timestamp would have nothing to do.
"""

import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from bidrec.asof.spark import end_spark
from bidrec.config import Config, Source
from bidrec.errors import ContractError, DependencyDown
from bidrec.features.build import build_features
from bidrec.features.feature_store import repository
from bidrec.features.registry import apply, materialize, open_store
from bidrec.features.schema import read_schema
from bidrec.features.spark import require_spark
from bidrec.lake.ingest import ingest
from bidrec.simulator import simulate
from bidrec.training_set.arrays import TrainingSet
from bidrec.training_set.build import build_training_set

SPARK = Path(__file__).parents[2] / "examples" / "stores" / "spark.yaml"
PAIRS = 100_000
# Two threads and no second compiler: it starts in half the time, and nothing here runs long enough to miss it.
QUICKLY = {
    "spark.master": "local[2]",
    "spark.sql.shuffle.partitions": "2",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}
LATE_VIEW = """
from datetime import timedelta

from entities import company
from feast import FeatureView, Field
from feast.types import Int64
from sources import parquet

late = FeatureView(
    name="late",
    entities=[company],
    ttl=timedelta(0),
    source=parquet(
        "late_source", "late.parquet", timestamp_field="happened_at", created_timestamp_column="written_at"
    ),
    schema=[Field(name="number", dtype=Int64)],
)
"""


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """The same home twice, (ours, with Spark): features of a market with 100,000 bids."""
    try:
        require_spark()
    except DependencyDown as error:
        pytest.skip(str(error))
    home = tmp_path_factory.mktemp("home")
    simulate(home / "source", notices=6000, companies=8000, bids=112_000, seed=3)
    repo = shutil.copytree(repository(), home / "repo")
    (repo / "late_views.py").write_text(LATE_VIEW)
    settings = yaml.safe_load(SPARK.read_text())
    settings["offline_store"]["spark_conf"] |= QUICKLY
    settings["online_store"]["path"] = "${BIDREC_HOME}/feast/by_spark.db"
    (home / "spark.yaml").write_text(yaml.safe_dump(settings))
    ours = Config(home=str(home), feature_repo=str(repo), source=Source(name="koneps", path=str(home / "source")))
    forget_every_third_company(home / "source")
    ingest(ours)
    build_features(ours)
    # Rows are written up to 39 days after they happened, some of them after younger ones.
    duckdb.execute(
        "COPY (SELECT company_id, known_at AS happened_at, known_at + to_days((hash(notice_id) % 40)::INTEGER) "
        "AS written_at, row_number() OVER () AS number "
        f"FROM {rows_of(home, 'bid_log')} QUALIFY row_number() OVER (PARTITION BY company_id, known_at) = 1) "
        f"TO '{home}/late.parquet'"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        yield ours, replace(ours, feature_store=str(home / "spark.yaml"))
    end_spark()


def forget_every_third_company(source):
    """Nothing is known of it before its first opening: its first pairs have no version."""
    for file in (source / "company").iterdir():
        rows = pq.read_table(file)
        pq.write_table(rows.filter(np.arange(len(rows)) % 3 > 0), file)


def rows_of(home, table):
    return f"(SELECT * FROM read_parquet('{home}/features/{table}/*.parquet'))"


@pytest.fixture
def west_of_greenwich():
    """Feast's Spark store mistakes clock times of this zone for UTC, which would hide the last seven hours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "America/Los_Angeles")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture(scope="module")
def schema(stores):
    apply(stores[0])
    return read_schema(stores[0])


def test_feasts_client_gets_the_same_training_rows_from_spark_with_the_created_filter_on(stores, schema):
    from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SavedDatasetSparkStorage

    ours, by_spark = stores
    home = ours.home_path
    duckdb.execute(
        "COPY (SELECT row_number() OVER () AS pair, notice_id, company_id, published_at AS event_timestamp "
        f"FROM {rows_of(home, 'bid_log')} JOIN {rows_of(home, 'notice')} USING (notice_id)) "
        f"TO '{home}/pairs.parquet'"
    )
    features = [f"{view.name}:{f.name}" for view in schema.views for f in view.fields if f.read != "ignore"]
    asked = {"features": [*features, "late:number"], "full_feature_names": True}

    apply(ours)
    for filtered in (True, False):
        job = open_store(ours).get_historical_features(
            f"SELECT * FROM '{home}/pairs.parquet'", **asked, filter_by_created_timestamp=filtered
        )
        job.to_parquet(home / f"duckdb_{filtered}.parquet")
    apply(by_spark)
    job = open_store(by_spark).get_historical_features(
        f"SELECT * FROM parquet.`{home}/pairs.parquet`", **asked, filter_by_created_timestamp=True
    )
    job.persist(SavedDatasetSparkStorage(path=f"{home}/spark", file_format="parquet"))

    assert differing(f"{home}/duckdb_True.parquet", f"{home}/spark/*.parquet") == 0
    # The filter had work to do.
    assert differing(f"{home}/duckdb_True.parquet", f"{home}/duckdb_False.parquet") > 1000


def differing(one, other):
    """Rows that are in one file and not in the other; times as microseconds, whatever the file calls them."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, files in {"one": one, "other": other}.items():
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{files}')")
        described = connection.execute("DESCRIBE one").fetchall()
        columns = [
            f'epoch_us("{name}"::TIMESTAMPTZ)' if kind.startswith("TIMESTAMP") else f'"{name}"'
            for name, kind, *_ in described
        ]
        picked = [f"SELECT {', '.join(columns)} FROM {name}" for name in ("one", "other")]
        pairs = [connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in ("one", "other")]
        assert min(pairs) > PAIRS
        return sum(
            connection.execute(f"SELECT count(*) FROM ({first} EXCEPT ALL {second})").fetchall()[0][0]
            for first, second in (picked, picked[::-1])
        )


def test_spark_puts_the_same_values_online(stores, schema):
    companies = duckdb.execute(
        f"SELECT DISTINCT company_id FROM {rows_of(stores[0].home_path, 'bid_log')} ORDER BY company_id LIMIT 500"
    )
    asked = {"company_id": [row[0] for row in companies.fetchall()]}
    features = [f"{view.name}:{f.name}" for view in schema.views if view.side == "company" for f in view.fields]
    online = []
    for config in stores:
        apply(config)
        materialize(config, ["company_profile", "company_activity"])
        online.append(open_store(config).get_online_features(features, asked, full_feature_names=True).to_dict())
    assert online[0] == online[1]
    assert len(set(online[0]["company_activity__bids_all"])) > 10


def test_a_company_view_without_the_moment_of_its_versions_is_refused_by_name(stores, schema):
    config = stores[1]
    views = [
        replace(view, fields=tuple(f for f in view.fields if f.name != "version_at"))
        if view.name == "company_profile"
        else view
        for view in schema.views
    ]
    with pytest.raises(ContractError, match=r"^company_profile: no field version_at"):
        build_training_set(config, replace(schema, views=tuple(views)), config.home_path / "refused")
    assert not (config.home_path / "refused").exists()


def test_the_job_gets_the_same_pairs_and_the_same_bytes_from_spark_and_leaves_no_java(stores, west_of_greenwich):
    from pyspark import SparkContext

    schemas, sets = [], []
    for config in stores:
        apply(config)
        schemas.append(read_schema(config))
        folder = config.home_path / f"set{len(sets)}"
        build_training_set(config, schemas[-1], folder)
        sets.append(TrainingSet.open(folder))
    ours, by_spark = sets
    assert schemas[0] == schemas[1]
    assert len(ours.pair_version) > PAIRS
    assert np.count_nonzero(ours.pair_version != by_spark.pair_version) == 0
    assert np.count_nonzero(ours.pair_version < 0) > 0
    assert ours.manifest == by_spark.manifest
    assert SparkContext._gateway is None
