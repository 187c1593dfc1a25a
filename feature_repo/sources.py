"""Where a view's rows lie, as the offline store wants to be told: views are defined once, for every store.

Feast's Spark store reads a SparkSource and nothing else. Which store it is, only feature_store.yaml says.
"""

import os
from pathlib import Path
from typing import Any

import yaml
from feast import FileSource
from feast.data_source import DataSource
from feast.feature_logging import LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination
from feast.repo_config import RepoConfig
from home import file

_NAMED = "FEAST_FS_YAML_FILE_PATH"


class Files(FileSource):
    """Files by a pattern, of which Feast's own check would say that no file has such a name."""

    def validate(self, config: RepoConfig) -> None:
        """Feast applies what is still to be written; whoever reads it is told."""


def parquet(name: str, relative: str, **options: Any) -> DataSource:
    """The Parquet file in bidrec's home; options: timestamp_field and what else every source takes."""
    if _offline_store() == "spark":
        from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource

        return SparkSource(name=name, path=file(relative), file_format="parquet", **options)
    return Files(name=name, path=file(relative), **options)


def logged(relative: str) -> LoggingConfig | None:
    """A folder in bidrec's home for features that were served. None with Spark, whose logs are tables of its own."""
    return None if _offline_store() == "spark" else LoggingConfig(FileLoggingDestination(path=file(relative)))


def _offline_store() -> str:
    """The type of the offline store in the feature_store.yaml that Feast was given."""
    settings = Path(os.environ.get(_NAMED) or Path(__file__).with_name("feature_store.yaml"))
    if not settings.is_absolute():
        raise SystemExit(f"{_NAMED} must be an absolute path. For example: export {_NAMED}=$PWD/{settings}")
    store = yaml.safe_load(settings.read_text(encoding="utf-8")).get("offline_store")
    return store["type"] if isinstance(store, dict) else str(store)
