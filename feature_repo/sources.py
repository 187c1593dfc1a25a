"""Where a view's rows lie, as the offline store wants to be told: views are defined once, for every store.

Feast's Spark store reads a SparkSource and nothing else. Which store it is, only feature_store.yaml says.
"""

from typing import Any

from feast import FileSource
from feast.data_source import DataSource
from feast.repo_config import RepoConfig
from home import file
from store import store


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


def _offline_store() -> str:
    """The type of the offline store in the feature_store.yaml that Feast was given."""
    named = store().get("offline_store")
    return named["type"] if isinstance(named, dict) else str(named)
