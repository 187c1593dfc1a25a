"""bidrec features: every field of the model's schema, what it means and how the model reads it."""

from typing import TYPE_CHECKING

from bidrec.config import Config
from jobs.options import command
from jobs.output import Result

if TYPE_CHECKING:
    from rich.console import RenderableType

    from bidrec.features.schema import Schema


@command
def features(config: Config) -> Result:
    """List the fields the model reads: meaning, type, unit, and how each is read."""
    from bidrec.features.schema import read_schema

    schema = read_schema(config)
    fields = [
        {
            "view": view.name,
            "name": field.name,
            "type": field.dtype,
            "read": field.read,
            "scale": field.scale,
            "unit": field.unit,
            "meaning": field.meaning,
            "known_from": view.event_time,
            "source": view.source,
        }
        for view in schema.views
        for field in view.fields
    ]
    return Result(data={"service": schema.service, "fields": fields}, text=_tables(schema))


def _tables(schema: "Schema") -> "RenderableType":
    from rich.console import Group
    from rich.table import Table

    tables = []
    for view in schema.views:
        table = Table(title=f"{view.name}: known from {view.event_time}", title_justify="left")
        for name in ("field", "type", "unit", "read as", "meaning"):
            table.add_column(name)
        for field in view.fields:
            read = f"{field.read}, ln(1 + x)" if field.scale == "log1p" else field.read
            table.add_row(field.name, field.dtype, field.unit, read, field.meaning)
        tables.append(table)
    return Group(*tables)
