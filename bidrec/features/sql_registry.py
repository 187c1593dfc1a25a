"""A registry in SQL, which several homes share: each has a project of its own, and a project outlives its teardown.

Reads   the SQL registry that feature_store.yaml names
Writes  its table of versions
"""

from pathlib import Path
from typing import TYPE_CHECKING

from bidrec.errors import ConfigurationError
from bidrec.storage.home import is_begun, parted

if TYPE_CHECKING:
    from feast import FeatureView, RepoConfig


def ready_for_apply(settings: "RepoConfig", home: Path) -> None:
    """Where the registry is in SQL, make it one that `apply` can write to for this home.

    Raises ConfigurationError (64) where the project is another home's: each would bring the other's rows online, under
    keys that may be the same.
    """
    if settings.registry.registry_type != "sql":
        return
    from feast import FeatureStore

    registry = FeatureStore(config=settings).registry
    views = registry.list_all_feature_views(settings.project)
    _refuse_another_home(views, settings.project, home)
    _forget_lost_versions(registry, settings.project, [view.name for view in views])


def _refuse_another_home(views: "list[FeatureView]", project: str, home: Path) -> None:
    sources = (getattr(getattr(view, "batch_source", None), "path", None) or "" for view in views)
    for other in sorted({parted(path)[0] for path in sources} - {""}):
        if is_begun(Path(other)) and not Path(other).samefile(home):
            raise ConfigurationError(
                f"the project {project} of this registry is that of the home {other}",
                hint="give each home a project or a database of its own (docs/markets.md)",
            )


def _forget_lost_versions(registry: object, project: str, views: list[str]) -> None:
    """`feast teardown` leaves the versions of the views that it deletes, and no view could be applied again."""
    from feast.infra.registry.sql import SqlRegistry, feature_view_version_history
    from sqlalchemy import delete

    assert isinstance(registry, SqlRegistry)
    of = feature_view_version_history.c
    with registry.write_engine.begin() as connection:
        connection.execute(
            delete(feature_view_version_history).where(of.project_id == project, of.feature_view_name.not_in(views))
        )
