"""The model's schema: the fields of one FeatureService, and how each is read.

Reads   Feast's registry (after `feast apply`)
Writes  nothing; bidrec.training_set encodes exactly these fields

Adding a tagged field to a view of the service, and the column to its table, is all it takes to add a feature.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bidrec.config import Config
from bidrec.errors import ContractError, InputMissing

if TYPE_CHECKING:
    import feast

SERVICE = "bidrec_v1"
ENCODED = ("dense", "categorical", "bag", "text", "age", "vector")
"""The readings that make arrays of a training set."""
READINGS = (*ENCODED, "position", "ignore")
SCALES = ("linear", "log1p")
_SIDES = {"notice_id": "notice", "company_id": "company"}
"""Join key -> side of the model."""


@dataclass(frozen=True, kw_only=True)
class Field:
    name: str
    """The column's name in the view's source."""
    dtype: str
    """Feast's name of the type: String, Float64, Array(String), UnixTimestamp, ..."""
    read: str
    """How the model reads it, one of READINGS."""
    unit: str = ""
    meaning: str = ""
    scale: str = "linear"
    """`log1p`: ln(1 + x) is taken before the normalisation."""
    source: str = ""
    """The canonical columns it comes from, as table.column."""
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """All tags as given."""


@dataclass(frozen=True, kw_only=True)
class View:
    name: str
    side: str
    """`notice` or `company`."""
    key: str
    """Column of the side's id."""
    source: Path
    """Absolute pattern of the Parquet files, the segments of one feature table."""
    event_time: str
    """Column from which on a row is known."""
    fields: tuple[Field, ...]
    """In the order of their definition."""


@dataclass(frozen=True, kw_only=True)
class Schema:
    service: str
    views: tuple[View, ...]


def read_schema(config: Config) -> Schema:
    """The schema that was last applied to the home's registry.

    Raises InputMissing (66) without a registry or the service in it; ContractError (65) listing every field whose
    tags do not say how it is read, and every view that is of neither side.
    """
    from feast.errors import FeastObjectNotFoundException

    from bidrec.features.registry import open_registry

    registry, project = open_registry(config)
    try:
        projections = registry.get_feature_service(SERVICE, project).feature_view_projections
        found = [(projection, registry.get_feature_view(projection.name, project)) for projection in projections]
    except FeastObjectNotFoundException as error:
        raise InputMissing(f"{error}", hint="run: bidrec train, or bidrec feast apply") from error
    errors: list[str] = []
    views = tuple(_view(registry, project, view, projection.features, errors) for projection, view in found)
    if errors:
        raise ContractError(f"{SERVICE}: " + "; ".join(errors), hint="correct the view in feature_repo and apply it")
    return Schema(service=SERVICE, views=views)


def _view(
    registry: "feast.infra.registry.base_registry.BaseRegistry",
    project: str,
    view: "feast.FeatureView",
    fields: list["feast.Field"],
    errors: list[str],
) -> View:
    keys = [registry.get_entity(name, project).join_key for name in view.entities]
    side = _SIDES.get(keys[0], "") if len(keys) == 1 else ""
    if not side:
        errors.append(f"{view.name} is keyed by {', '.join(keys)}, neither by notice_id nor by company_id alone")
    if view.batch_source.field_mapping:
        errors.append(f"{view.name} renames columns (field_mapping); name them in the table's SQL instead")
    return View(
        name=view.name,
        side=side,
        key=keys[0],
        source=Path(view.batch_source.path),
        event_time=view.batch_source.timestamp_field,
        fields=tuple(_field(view.name, side, field, errors) for field in fields),
    )


def _field(view: str, side: str, field: "feast.Field", errors: list[str]) -> Field:
    read, scale = field.tags.get("read", ""), field.tags.get("scale", "linear")
    if read not in READINGS:
        errors.append(f"{view}.{field.name} has the tag read={read or 'nothing'}, not one of {', '.join(READINGS)}")
    if scale not in SCALES:
        errors.append(f"{view}.{field.name} has the tag scale={scale}, not one of {', '.join(SCALES)}")
    return Field(
        name=field.name,
        dtype=str(field.dtype),
        read=read,
        unit=field.tags.get("unit", ""),
        meaning=field.tags.get("meaning", field.description),
        scale=scale,
        # A column of the lake is carried through by its name; what is made of others says so.
        source=field.tags.get("source", f"{side}.{field.name}"),
        tags=dict(field.tags),
    )
