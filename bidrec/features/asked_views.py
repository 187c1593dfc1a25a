"""What Feast's reading commands are asked for, held to what the registry has: one line instead of Feast's traceback.

Serves  bidrec.features.registry_store, within `feast get-historical-features` and `feast get-online-features`
"""

from typing import TYPE_CHECKING

import click

from bidrec.errors import InputMissing

if TYPE_CHECKING:
    from feast.protos.feast.core.Registry_pb2 import Registry

READING = ("get-historical-features", "get-online-features")


def refuse_what_is_not_applied(registry: "Registry") -> None:
    """Raises InputMissing (66) where the command at work names a view that the registry does not have."""
    command = click.get_current_context(silent=True)
    if command is None or command.info_name not in READING:
        return
    kinds = (
        registry.feature_views,
        registry.on_demand_feature_views,
        registry.stream_feature_views,
        registry.label_views,
    )
    views = {view.spec.name for kind in kinds for view in kind}
    for feature in command.params.get("features") or ():
        view = feature.split(":")[0].split("@")[0]
        if view not in views:
            there_are = f"there are: {', '.join(sorted(views))}" if views else "nothing is applied yet: feast apply"
            raise InputMissing(f"no feature view {view!r}", hint=there_are)
