"""Feast's own commands on a configuration's home: no variable to set, and in turn with the home's other jobs.

Reads   feature_repo/, the home, what feature_store.yaml names
Writes  what the command writes; one that writes to the registry or the online store waits for other jobs of the home
"""

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from datetime import datetime
from functools import partial
from traceback import walk_tb
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from bidrec.config import Config
from bidrec.errors import ConfigurationError, InputMissing
from bidrec.features.bringing import tell
from bidrec.features.feast_import import import_feast
from bidrec.features.feature_store import environment, repository_of, store_settings
from bidrec.features.registry import as_guest, told_why_it_exits, writing_store
from bidrec.features.sql_registry import ready_for_apply
from bidrec.operations.passwords import masked
from bidrec.storage.locks import one_job_at_a_time

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView, Project

_WRITES = {"apply", "delete", "materialize", "materialize-incremental", "teardown"}


def run(config: Config, arguments: Sequence[str]) -> tuple[str, int]:
    """Run `feast ARGUMENTS`. Returns what it printed, passwords masked, and its exit code.

    Raises InputMissing (66) where it names what is not there, ConfigurationError (64) where Feast refuses otherwise or
    cannot make sense of an argument, CannotWrite (73) where the disk refuses.
    """
    import_feast(config)
    from feast.cli.cli import cli
    from feast.errors import FeastError, FeastObjectNotFoundException

    waits = (
        one_job_at_a_time(config.home_path, "feast", config.wait_seconds) if _WRITES & set(arguments) else nullcontext()
    )
    printed = io.StringIO()
    own = _of_its_own_project() if "teardown" in arguments else nullcontext()
    with (
        waits,
        writing_store(config),
        environment(config),
        redirect_stdout(printed),
        _printing_times(),
        _telling_how_far(),
        own,
        as_guest(repository_of(config)),
    ):
        settings = store_settings(config)
        if "apply" in arguments:
            ready_for_apply(settings, config.home_path)
        try:
            with told_why_it_exits(printed):
                code = cli.main(list(arguments), prog_name="feast", standalone_mode=False)
        except FeastObjectNotFoundException as error:
            raise InputMissing(str(error), hint="run: bidrec feast apply") from error
        except FeastError as error:
            raise ConfigurationError(str(error), hint="see docs/feast.md") from error
        except (ValueError, OverflowError) as error:
            if _met_by_us(error):
                raise
            raise ConfigurationError(
                f"feast {' '.join(arguments)}: {error}",
                hint="a time is ISO 8601, such as 2024-07-16T19:20:01; --help after the command says what it takes",
            ) from error
    # `feast configuration` prints what the environment was put in for, too.
    return masked(printed.getvalue().rstrip("\n")), code if isinstance(code, int) else 0


@contextmanager
def _printing_times() -> Iterator[None]:
    """Feast's get-online-features prints JSON, which has no times, and ends with a traceback where a field is one."""
    from feast.cli import features

    theirs = features.json
    dumps = partial(json.dumps, default=datetime.isoformat)
    features.json = SimpleNamespace(loads=json.loads, dumps=dumps)  # type: ignore[assignment]
    try:
        yield
    finally:
        features.json = theirs


@contextmanager
def _telling_how_far() -> Iterator[None]:
    """What Feast materializes here is told of as it comes online: its own words come when all is done."""
    import feast

    theirs = feast.FeatureStore._get_feature_views_to_materialize

    def told(store: "FeatureStore", *given: Any, **further: Any) -> "list[FeatureView]":
        views = theirs(store, *given, **further)
        tell(store, views)
        return views

    feast.FeatureStore._get_feature_views_to_materialize = told  # type: ignore[method-assign]
    try:
        yield
    finally:
        feast.FeatureStore._get_feature_views_to_materialize = theirs  # type: ignore[method-assign]


@contextmanager
def _of_its_own_project() -> Iterator[None]:
    """Feast's teardown takes every project's definitions from the registry, and the rows of its own alone."""
    import feast

    theirs = feast.FeatureStore.list_projects

    def own(store: "FeatureStore", *given: Any, **further: Any) -> "list[Project]":
        return [project for project in theirs(store, *given, **further) if project.name == store.project]

    feast.FeatureStore.list_projects = own  # type: ignore[method-assign]
    try:
        yield
    finally:
        feast.FeatureStore.list_projects = theirs  # type: ignore[method-assign]


def _met_by_us(error: BaseException) -> bool:
    """Whether the error passed through code of ours below Feast: then it is a bug, and nothing Feast was given."""
    through = {frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)} - {__name__}
    return any(name.split(".")[0] in ("bidrec", "feature_repo") for name in through)
