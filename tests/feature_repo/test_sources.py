"""One definition of a view, and the source that each store can read."""

import runpy
import sys
from pathlib import Path

import pytest
from feast import FileSource

from bidrec.features.feature_store import repository

SPARK = Path(__file__).parents[2] / "examples" / "stores" / "spark.yaml"


@pytest.fixture
def parquet(home, monkeypatch):
    """feature_repo's factory, in a home, loaded as Feast loads it."""
    monkeypatch.syspath_prepend(str(repository()))
    yield runpy.run_path(str(repository() / "sources.py"))["parquet"]
    for name in ("home", "store"):
        sys.modules.pop(name, None)


def test_the_source_follows_the_offline_store_that_feast_was_given(parquet, home, monkeypatch):
    given = {"timestamp_field": "known_at", "created_timestamp_column": "written_at", "description": "some rows"}
    usual = parquet("some", "features/some.parquet", **given)
    monkeypatch.setenv("FEAST_FS_YAML_FILE_PATH", str(SPARK))
    by_spark = parquet("some", "features/some.parquet", **given)
    assert isinstance(usual, FileSource)
    assert type(by_spark).__name__ == "SparkSource"
    assert by_spark.file_format == "parquet"
    assert usual.path == by_spark.path == str(home / "features" / "some.parquet")
    assert all(getattr(usual, name) == getattr(by_spark, name) == value for name, value in given.items())


def test_a_relative_feature_store_is_refused_with_the_line_that_mends_it(parquet, monkeypatch):
    monkeypatch.setenv("FEAST_FS_YAML_FILE_PATH", "stores/spark.yaml")
    with pytest.raises(SystemExit, match=r"export FEAST_FS_YAML_FILE_PATH=\$PWD/stores/spark.yaml"):
        parquet("some", "features/some.parquet", timestamp_field="known_at")
