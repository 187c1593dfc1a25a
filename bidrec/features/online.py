"""Which keys an online store has, whatever store it is.

Reads   the home's registry and online store
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from bidrec.config import Config
from bidrec.errors import InputMissing
from bidrec.features.registry import open_store

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView


def views_with(config: Config, keys: Mapping[str, Collection[str]]) -> list[str]:
    """Names of the views that have a row of any of the keys online, with values or without; keys: entity's column ->
    its keys. None where nothing was applied. Raises DependencyDown (69) where the store does not answer."""
    try:
        store = open_store(config)
    except InputMissing:
        return []
    views = [(view, [column.name for column in view.entity_columns]) for view in store.list_feature_views()]
    return [view.name for view, columns in views if len(columns) == 1 and _has_any(store, view, columns[0], keys)]


def _has_any(store: "FeatureStore", view: "FeatureView", column: str, keys: Mapping[str, Collection[str]]) -> bool:
    rows = [{column: key} for key in keys.get(column, ())]
    if not rows:
        return False
    answer = store.get_online_features([f"{view.name}:{view.features[0].name}"], rows).proto
    fields = zip(answer.metadata.feature_names.val, answer.results, strict=True)
    # A row has a time; the status of a key that is not there is another one in each kind of store.
    return any(moment.seconds for name, field in fields if name != column for moment in field.event_timestamps)
