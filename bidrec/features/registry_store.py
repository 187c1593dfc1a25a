"""The registry's file, written whole or not at all; one that this Feast cannot read is refused and left as it is.

Reads   feast/registry.db, where feature_store.yaml names this class as registry_store_type
Writes  the same

Feast's own store writes in place, so a reader meets half a registry; a garbled one ends in a traceback, and an empty
file or a newer format is taken for a registry without anything in it, and overwritten.
"""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

from feast.infra.registry.file import FileRegistryStore
from feast.infra.registry.registry import REGISTRY_SCHEMA_VERSION
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.repo_config import RegistryConfig
from google.protobuf.message import DecodeError

from bidrec.errors import ContractError
from bidrec.features.asked_views import refuse_what_is_not_applied
from bidrec.storage.whole import whole_file


class WholeRegistryStore(FileRegistryStore):
    def __init__(self, registry_config: RegistryConfig, repo_path: Path) -> None:
        super().__init__(registry_config, repo_path)
        self._takes_code = getattr(registry_config, "views_with_code", False) is True
        """What feature_store.yaml says; the Feast repository that bidrec comes with has no such view."""

    def get_registry_proto(self) -> Registry:
        """Raises ContractError (65) where the file is no registry that this Feast can read, or holds code that is not
        expected, InputMissing (66) where a command asks for what is not in it."""
        try:
            registry = super().get_registry_proto()
        except FileNotFoundError:
            refuse_what_is_not_applied(Registry())
            raise
        except DecodeError as error:
            raise self._unreadable("it is garbled") from error
        if registry.registry_schema_version != REGISTRY_SCHEMA_VERSION:
            raise self._unreadable(f"its format is {registry.registry_schema_version or 'not said'}")
        self._refuse_code(registry)
        self._forget_lost_tables(registry)
        refuse_what_is_not_applied(registry)
        return registry

    def _write_registry(self, registry_proto: Registry) -> None:
        self._refuse_code(registry_proto)
        registry_proto.version_id = str(uuid4())
        registry_proto.last_updated.GetCurrentTime()
        for view in (*registry_proto.feature_views, *registry_proto.stream_feature_views):
            _join_stretches(view.meta.materialization_intervals)
        with whole_file(self._filepath) as partial:
            partial.write_bytes(registry_proto.SerializeToString())

    def _forget_lost_tables(self, registry: Registry) -> None:
        """Forget SQLite tables whose file is gone (`feast teardown` removes it) or lies in another folder.

        Otherwise `apply` would not make them anew, or, in a copy of a home, drop those of the original.
        """
        kept = [
            entry
            for entry in registry.infra.infra_objects
            if not entry.HasField("sqlite_table") or self._is_beside(Path(entry.sqlite_table.path))
        ]
        del registry.infra.infra_objects[:]
        registry.infra.infra_objects.extend(kept)

    def _refuse_code(self, registry: Registry) -> None:
        found = [] if self._takes_code else sorted(_with_code(registry))
        if found:
            raise ContractError(
                f"{self._filepath}: {', '.join(found)} would run code that stands in the registry",
                hint="if it is yours: views_with_code: true below registry in feature_store.yaml; else move it away, "
                "apply and materialize",
            )

    def _is_beside(self, online: Path) -> bool:
        return online.is_file() and online.parent == self._filepath.parent

    def _unreadable(self, reason: str) -> ContractError:
        return ContractError(
            f"{self._filepath} is no registry that Feast {version('feast')} can read: {reason}",
            hint="use the Feast that wrote it; or move it away, apply and materialize: it holds definitions only",
        )


def _with_code(registry: Registry) -> Iterator[str]:
    """Names of the views that are, or may be, computed by code which stands in the registry."""
    yield from (view.spec.name for view in (*registry.on_demand_feature_views, *registry.stream_feature_views))
    yield from (view.spec.name for view in registry.feature_views if view.spec.HasField("feature_transformation"))


def _join_stretches(intervals: Any) -> None:
    """Make one of the stretches of time that overlap or touch. Feast adds one at every materialize and drops none, and
    reads of them only how far they reach: a registry would grow with every hour that it is used."""
    joined: list[Any] = []
    for stretch in sorted(intervals, key=lambda one: one.start_time.ToNanoseconds()):
        if joined and stretch.start_time.ToNanoseconds() <= joined[-1].end_time.ToNanoseconds():
            if stretch.end_time.ToNanoseconds() > joined[-1].end_time.ToNanoseconds():
                joined[-1].end_time.CopyFrom(stretch.end_time)
        else:
            joined.append(stretch)
    kept = [type(stretch).FromString(stretch.SerializeToString()) for stretch in joined]
    del intervals[:]
    intervals.extend(kept)
