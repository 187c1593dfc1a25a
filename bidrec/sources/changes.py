"""Which rows of a database's tables may have changed since a moment: conditions for the WHERE of its SELECTs.

Reads   `since` and `together` of source.toml, the columns' types in the database
Returns a condition for each table that can be asked for its changes; the others are read whole

A row that has no time at all is always read, and so is everything that the source's SELECTs have to see with a row.
"""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bidrec.operations import log
from bidrec.sources.definition import Definition, RawTable
from bidrec.sql.words import quoted

TIMES = ("date", "timestamp", "timestamptz")
"""PostgreSQL types of moments and days."""
_SET_BACK = timedelta(hours=3)
"""No clock is set back by more."""
_logger = log.get("ingest")


def changed_rows(
    definition: Definition, schema: str, types: dict[str, dict[str, str]], since: datetime
) -> dict[str, str]:
    """Raw table's name -> SQL condition over its rows.

    types: raw table's name -> column -> PostgreSQL type. since: UTC.
    """
    own = {raw.name: _changed(raw, types[raw.name], definition.zone, since) for raw in definition.raw if raw.since}
    linked = [raw for raw in definition.raw if definition.together in raw.all_columns]
    conditions = {raw.name: own.get(raw.name) for raw in definition.raw if raw not in linked}
    key = _keys(definition.together, {raw.name: types[raw.name] for raw in linked})
    keys = {
        raw.name: f"SELECT {key[raw.name]} FROM {quoted(schema)}.{quoted(raw.table)} WHERE {own[raw.name]}"
        for raw in linked
        if raw.since
    }
    # Without the changes of one of them, nobody knows which rows of the others they would have brought along.
    if keys and all(own[name] for name in keys):
        for raw in linked:
            conditions[raw.name] = f"{key[raw.name]} IN ({' UNION '.join(keys.values())})"
    return {name: condition for name, condition in conditions.items() if condition}


def _changed(raw: RawTable, types: dict[str, str], zone: str, since: datetime) -> str | None:
    """None where the table lacks the times, or has one as text, which the database would not compare.

    It may be that one that a change has moved.
    """
    lower = {name.lower(): name for name in types}
    times = [lower[name.lower()] for name in raw.since if name.lower() in lower]
    others = [f"{name} {types[name]}" for name in times if types[name] not in TIMES]
    if others or not times:
        reason = f"{', '.join(others)} is no time" if others else "has none of the times of `since`"
        _logger.warning(f"read whole: {reason}", table=raw.table, since=", ".join(raw.since))
        return None
    if absent := [name for name in raw.since if name.lower() not in lower]:
        _logger.info("asked for its changes without a time that it lacks", table=raw.table, lacks=", ".join(absent))
    clock = _shown(since, ZoneInfo(zone))
    moment = {
        "date": f"DATE '{clock.date()}'",
        "timestamp": f"TIMESTAMP '{clock}'",
        "timestamptz": f"TIMESTAMPTZ '{since}'",
    }
    later = [f"{quoted(name)} >= {moment[types[name]]}" for name in times]
    none = " AND ".join(f"{quoted(name)} IS NULL" for name in times)
    return f"({' OR '.join([*later, f'({none})'])})"


def _shown(since: datetime, zone: ZoneInfo) -> datetime:
    """The earliest clock time that rows from `since` on may bear: one that is set back shows its last hours again."""
    now, then = (moment.astimezone(zone).replace(tzinfo=None) for moment in (since, since + _SET_BACK))
    return min(now, then - _SET_BACK)


def _keys(together: str, types: dict[str, dict[str, str]]) -> dict[str, str]:
    """Raw table's name -> SQL of its key. As text only where they are of several types: an index is of the column's."""
    names = {raw: next(name for name in columns if name.lower() == together.lower()) for raw, columns in types.items()}
    alike = len({types[raw][name] for raw, name in names.items()}) < 2
    return {raw: quoted(name) + ("" if alike else "::text") for raw, name in names.items()}
