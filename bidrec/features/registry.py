"""Feast's registry and online store of a home, from Python: what `feast apply` and `feast materialize` do.

Reads   feature_repo/, features/, published/
Writes  Feast's registry and online store: feast/registry.db and feast/online.db, or what feature_store.yaml names

Feast prints, changes the working directory and keeps the repository's modules; here none of that gets out. What changes
the registry or the online store is done by one job of a home at a time; others wait.
"""

import io
import os
import sqlite3
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bidrec.config import Config
from bidrec.errors import ConfigurationError, ContractError, InputMissing
from bidrec.features.bringing import tell
from bidrec.features.feast_import import import_feast
from bidrec.features.feature_store import environment, repository_of, store_settings
from bidrec.features.sql_registry import ready_for_apply
from bidrec.operations import log
from bidrec.sql.words import literal
from bidrec.storage.damage import is_damage
from bidrec.storage.locks import one_job_at_a_time
from bidrec.storage.whole import writing

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView, RepoConfig
    from feast.infra.registry.base_registry import BaseRegistry

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_logger = log.get("feast")


def apply(config: Config) -> None:
    """Make the home's registry say what the repository says: add, change, and delete what is gone.

    The sources' files need not exist yet.
    """
    import_feast(config)
    from feast.repo_operations import apply_total

    repo = repository_of(config)
    home = config.home_path
    # What Feast prints is for a terminal; our log is one line, and the registry says the rest.
    printed = io.StringIO()
    with (
        one_job_at_a_time(home, "feast", config.wait_seconds),
        writing_store(config),
        environment(config),
        as_guest(repo),
        redirect_stdout(printed),
        told_why_it_exits(printed),
    ):
        settings = store_settings(config)
        _adopt_online_store(settings)
        ready_for_apply(settings, home)
        apply_total(settings, repo, skip_source_validation=True)
    _logger.info("feature repository applied", registry=str(home / "feast"))


@contextmanager
def told_why_it_exits(printed: io.StringIO) -> Iterator[None]:
    """Where Feast, or a repository that it imports, says what it refuses and exits: ConfigurationError (64), which says
    the same. printed: what stdout is redirected to."""
    try:
        yield
    except SystemExit as error:
        lines = [error.code] if isinstance(error.code, str) else printed.getvalue().split("\n")
        said = next(filter(None, reversed(lines)), "it exited")
        raise ConfigurationError(f"Feast: {said}", hint="see docs/feast.md") from error


@contextmanager
def writing_store(config: Config) -> Iterator[None]:
    """Where the disk refuses what Feast writes: CannotWrite (73), which names the folder of registry and online store;
    where SQLite finds the online store damaged: ContractError (65).

    SQLite names no file, so a store elsewhere, by a feature_store.yaml of one's own, is named by that folder too.
    """
    folder = config.home_path / "feast"
    try:
        with writing(folder, begun=folder):
            yield
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        raise ContractError(
            f"the online store in {folder} is damaged: {error}",
            hint=f"delete {folder / 'online.db'}; bidrec write-back, then bidrec feast materialize "
            "--disable-event-timestamp, bring all of it online again",
        ) from error


def _adopt_online_store(settings: "RepoConfig") -> None:
    """Where the home was copied or moved, make its registry name its own online store.

    The registry remembers the SQLite file in which it made its tables; applied elsewhere, Feast would drop the tables
    in that file, which may be another home's.
    """
    from feast import FeatureStore

    store = FeatureStore(config=settings)
    infra = store.registry.get_infra(settings.project)
    own = getattr(settings.online_store, "path", None)
    strangers = [table for table in infra.infra_objects if own and getattr(table, "path", own) != own]
    for table in strangers:
        table.path = own
    if strangers:
        store.registry.update_infra(infra, settings.project, commit=True)


def open_store(config: Config) -> "FeatureStore":
    """The home's FeatureStore, offline reads under config.memory_limit. InputMissing (66) where nothing was applied.

    It answers while a view is being materialised too, each key with its old or its new value.
    """
    settings = _applied_settings(config)
    import ibis
    from feast import FeatureStore

    spill = config.home_path / ".feast-spill"
    # Two DuckDBs: that of our store, and ibis's, in which Feast reads what is no plain Parquet file.
    if hasattr(settings.offline_store, "memory_limit"):
        settings.offline_store.memory_limit = config.memory_limit
    connection = ibis.get_backend()
    connection.raw_sql(f"SET memory_limit = {literal(config.memory_limit)}")
    connection.raw_sql(f"SET temp_directory = {literal(str(spill))}")
    store = FeatureStore(config=settings)
    # Not in feature_store.yaml: there, Feast warns at every command that a registry in a file has no need of it.
    store.registry.serve_features_while_materializing = True
    return store


def open_registry(config: Config) -> tuple["BaseRegistry", str]:
    """The home's registry and the project's name. InputMissing (66) where nothing was applied."""
    settings = _applied_settings(config)
    from feast import FeatureStore

    store = FeatureStore(config=settings)
    return store.registry, store.project


def materialize(config: Config, views: Sequence[str], end: datetime | None = None) -> None:
    """Bring the newest row of each key into the online store, for rows known by `end` (UTC; default: now).

    From the beginning of time every run: Feast's incremental mode never writes a row that arrives late. A view that a
    killed run left in a state in which Feast serves nothing is materialised too, which repairs it.
    Raises ConfigurationError (64) where a view stands later than `end` online: older values would overwrite newer ones.
    """
    with one_job_at_a_time(config.home_path, "feast", config.wait_seconds), writing_store(config):
        store = open_store(config)
        found = store.list_feature_views()
        _refuse_older([view for view in found if view.name in views], end)
        names = [*views, *sorted(view.name for view in found if not _serves(view) and view.name not in views)]
        if len(names) > len(views):
            _logger.warning("a killed run left views half written; they are written again", views=names[len(views) :])
        tell(store, [view for view in found if view.name in names])
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "fetch_arrow_table", DeprecationWarning)  # ibis's concern, not the user's
            store.materialize(_BEGINNING, end or datetime.now(UTC), feature_views=names)
    _logger.info("materialized", views=names)


def _serves(view: "FeatureView") -> bool:
    """Whether Feast answers get_online_features for a view in this state."""
    from feast.feature_view import FeatureViewState

    return view.state in (FeatureViewState.STATE_UNSPECIFIED, FeatureViewState.AVAILABLE_ONLINE)


def _refuse_older(views: "Sequence[FeatureView]", end: datetime | None) -> None:
    """Feast compares no times online: the newest rows up to an earlier `end` would overwrite what is there."""
    reached = {
        view.name: max(until for _, until in view.materialization_intervals)
        for view in views
        if view.materialization_intervals
    }
    later = {name: until for name, until in reached.items() if end and until > end}
    if end and later:
        raise ConfigurationError(
            f"{', '.join(sorted(later))}: online as of {max(later.values()).isoformat()}, after {end.isoformat()}",
            hint="older values would overwrite newer ones; materialize up to now, or use another online store",
        )


def _applied_settings(config: Config) -> "RepoConfig":
    with environment(config):
        settings = store_settings(config)
    if settings.registry.registry_type == "file" and not Path(settings.registry.path).is_file():
        raise InputMissing(
            f"no feature registry in {config.home_path}", hint="run: bidrec train, or bidrec feast apply"
        )
    return settings


@contextmanager
def as_guest(repo: Path) -> Iterator[None]:
    """Let Feast import the repository's modules by bare names (`entities`, ...), and forget them afterwards.

    Feast changes into the repository, does not write bytecode from then on, and would find the modules of an earlier
    apply instead of the repository's present ones.
    """
    folder, bytecode, modules = os.getcwd(), sys.dont_write_bytecode, set(sys.modules)
    sys.path.insert(0, str(repo))
    try:
        yield
    finally:
        os.chdir(folder)
        sys.dont_write_bytecode = bytecode
        sys.path.remove(str(repo))
        for name in set(sys.modules) - modules:
            if (getattr(sys.modules[name], "__file__", None) or "").startswith(f"{repo}{os.sep}"):
                del sys.modules[name]
