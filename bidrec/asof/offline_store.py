"""The offline store that feature_repo/feature_store.yaml names: Feast's answers by the as-of join in `join.py`.

Reads   the Parquet files of the views, the caller's entity rows (a DataFrame or a DuckDB SELECT)
Writes  what the caller asks for: Arrow, pandas, a Parquet file, a saved dataset

What is materialized is chosen by `newest.py`.
docs/asof.md lists where the answers differ from the stock store's, and why. Sources that are no plain Parquet files
(Delta, Iceberg, S3 with credentials of its own) and on-demand views in substrait are left to the stock store.
"""

import os
import re
from collections.abc import Iterable
from datetime import datetime

import duckdb
import pandas as pd
from feast.data_source import DataSource
from feast.feature_view import FeatureView
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, DuckDBOfflineStoreConfig
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from pydantic import StrictStr, field_validator

from bidrec.asof import entity_rows
from bidrec.asof.all_rows import all_rows
from bidrec.asof.empty_lists import keep_out_of_the_search
from bidrec.asof.files import find
from bidrec.asof.job import AsofRetrievalJob, Limits, Question, is_plain_parquet, path_of
from bidrec.asof.join import View
from bidrec.asof.newest import NewestRetrievalJob, Stretch
from bidrec.asof.other_home import refuse_another_home
from bidrec.errors import ConfigurationError, ContractError, InputMissing
from bidrec.operations import log

_logger = log.get("asof")


class AsofOfflineStoreConfig(DuckDBOfflineStoreConfig):
    type: StrictStr = "bidrec.asof.offline_store.AsofOfflineStore"

    memory_limit: str | None = None
    """What DuckDB may use, e.g. '4GB'; beyond it joins spill to temp_directory. None: DuckDB's default, 80% of RAM."""
    threads: int | None = None
    temp_directory: str | None = None
    """Where joins spill to, an absolute path. None: DuckDB's default, `.tmp` in the working directory."""

    @field_validator("temp_directory")
    @classmethod
    def _is_a_place(cls, folder: str | None) -> str | None:
        """Feast leaves a variable that is not set as it stands, and would make a folder named `${BIDREC_HOME}`."""
        unset = re.search(r"\$\{(\w+)\}", folder or "")
        if unset:
            raise ConfigurationError(f"{unset[1]} is not set", hint=f"for example: export {unset[1]}=$PWD/.bidrec")
        if folder and not os.path.isabs(folder):
            raise ConfigurationError(
                f"Feast needs absolute paths, not {folder!r}", hint="for example: export BIDREC_HOME=$PWD/.bidrec"
            )
        return folder


class AsofOfflineStore(DuckDBOfflineStore):
    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """A lazy job: each entity row once, with the features that were known at its event timestamp (naive: UTC).

        entity_df: a DataFrame, or a SELECT in DuckDB's SQL whose rows then never pass through pandas.
        Raises ContractError (65) where names of the answer collide, a column is missing or the entity rows are no such
        rows; InputMissing (66) where a source cannot be read, or there are no entity rows: a stretch of time
        (start_date, end_date) alone asks nothing.
        """
        if entity_df is None:
            raise InputMissing("no entity rows", hint="give each key with its event_timestamp (feast: --dataframe)")
        on_demand = OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry)
        stock = [view.name for view in feature_views if not is_plain_parquet(view.batch_source)]
        stock += [view.name for view in on_demand if view.mode == "substrait"]
        if stock:
            _logger.warning("views left to Feast's own DuckDB store", views=stock)
            return DuckDBOfflineStore.get_historical_features(
                config,
                feature_views,
                feature_refs,
                entity_df,
                registry,
                project,
                full_feature_names,
                filter_by_created_timestamp,
            )
        limits = _limits(config)
        with limits.connect() as connection:
            asked = entity_rows.read(connection, entity_df)
            views = [
                _view(connection, view, feature_refs, config, full_feature_names, filter_by_created_timestamp)
                for view in feature_views
            ]
        _refuse_missing(asked.columns, views, on_demand)
        _refuse_collisions([*asked.columns, *(name for view in views for name in view.features)])
        keys = [column for column in asked.columns if column != asked.as_of]
        metadata = RetrievalMetadata(feature_refs, keys, *asked.span)
        question = Question(asked.rows, columns=asked.columns, as_of=asked.as_of, views=views, limits=limits)
        return AsofRetrievalJob(question, on_demand, full_feature_names, metadata, config.repo_path)

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """A lazy job: of each key the newest row from start_date to end_date, both included (naive: UTC)."""
        keep_out_of_the_search(config)
        if not is_plain_parquet(data_source):
            return DuckDBOfflineStore.pull_latest_from_table_or_query(
                config,
                data_source,
                join_key_columns,
                feature_name_columns,
                timestamp_field,
                created_timestamp_column,
                start_date,
                end_date,
            )
        path = path_of(config.repo_path, data_source)
        refuse_another_home(config, data_source.name, path)
        stretch = Stretch(
            source=data_source.name,
            path=path,
            keys=join_key_columns,
            features=feature_name_columns,
            event_time=timestamp_field,
            created=created_timestamp_column or None,
            start=start_date,
            end=end_date,
        )
        return NewestRetrievalJob(stretch, _limits(config))

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """A lazy job: every row from start_date to end_date, both included."""
        if not is_plain_parquet(data_source):
            return DuckDBOfflineStore.pull_all_from_table_or_query(
                config,
                data_source,
                join_key_columns,
                feature_name_columns,
                timestamp_field,
                created_timestamp_column,
                start_date,
                end_date,
            )
        path = path_of(config.repo_path, data_source)
        refuse_another_home(config, data_source.name, path)
        columns = [*join_key_columns, *feature_name_columns, *filter(None, [created_timestamp_column])]
        return all_rows(config, data_source, path, columns, timestamp_field, start_date, end_date, _limits(config))

    def get_table_column_names_and_types_from_data_source(
        self, config: RepoConfig, data_source: DataSource
    ) -> Iterable[tuple[str, str]]:
        """Of a pattern or a folder the columns of its first file; Feast knows single files alone."""
        if is_plain_parquet(data_source):
            with _limits(config).connect() as connection:
                path = path_of(config.repo_path, data_source)
                data_source = FileSource(path=find(connection, data_source.name, path).names[0])
        return data_source.get_table_column_names_and_types(config)


def _limits(config: RepoConfig) -> Limits:
    return Limits(
        memory_limit=getattr(config.offline_store, "memory_limit", None),
        threads=getattr(config.offline_store, "threads", None),
        temp_directory=getattr(config.offline_store, "temp_directory", None),
    )


def _view(
    connection: duckdb.DuckDBPyConnection,
    view: FeatureView,
    feature_refs: list[str],
    config: RepoConfig,
    full_feature_names: bool,
    created_filter: bool,
) -> View:
    """Feast's view as the join needs it: in the columns of the file, after field_mapping and the projection."""
    source = view.batch_source
    path = path_of(config.repo_path, source)
    refuse_another_home(config, f"view {view.name}", path)
    files = find(connection, f"view {view.name}", path)
    types = files.types
    renamed = {new: old for old, new in source.field_mapping.items() if old in types}

    def column(name: str) -> str:
        found = renamed.get(name, name)
        files.refuse_missing([found])
        return found

    prefix = f"{view.projection.name_to_use()}:"
    asked = [ref.split(":")[1] for ref in feature_refs if ref.startswith(prefix)]
    named = f"{view.projection.name_alias or view.name}__" if full_feature_names else ""
    keys = view.projection.join_key_map or {key.name: key.name for key in view.entity_columns}
    found = View(
        files=files.names,
        keys={column(key): entity for key, entity in keys.items()},
        key_types={entity: types[column(key)] for key, entity in keys.items()},
        event_time=column(source.timestamp_field),
        created=column(source.created_timestamp_column) if source.created_timestamp_column else None,
        created_filter=created_filter,
        ttl=view.ttl,
        features={f"{named}{name}": column(name) for name in asked},
    )
    times = [found.event_time, *([found.created] if found.created else [])]
    files.refuse_changed_types([*found.keys, *times, *found.features.values()])
    return found


def _refuse_missing(columns: list[str], views: list[View], on_demand: list[OnDemandFeatureView]) -> None:
    needed = {key for view in views for key in view.keys.values()}
    needed.update(name for view in on_demand for name in view.get_request_data_schema())
    missing = sorted(needed.difference(columns))
    if missing:
        raise ContractError(
            f"entity rows have no column {', '.join(missing)}",
            hint="it is the key of a view, or what a view on demand is made of",
        )


def _refuse_collisions(names: list[str]) -> None:
    """DuckDB's names know no case, so two that differ only by it are one."""
    lower = [name.lower() for name in names]
    twice = sorted({name for name in names if lower.count(name.lower()) > 1})
    if twice:
        raise ContractError(
            f"the answer would have two columns of one name: {', '.join(twice)}",
            hint="rename the entity column, or ask with full_feature_names=True",
        )
