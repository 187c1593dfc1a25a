"""A lake that begins anew because the source's SQL, columns, zone or parameters are others than it was made with.

Reads   the old lake's views (`parts.py`), and came_<table>, what would be in the new one (`increment.py`)
Writes  came_<table>, with the times from which the old lake knew what had come late

The new lake has what the source says today, read by the new rules. What it said before is lost with the old one. When
its rows came is not: a bid that came a month after its opening was not known for that month, and would be of use to a
training as of then.
"""

from pathlib import Path

import duckdb

from bidrec.contract import TABLES
from bidrec.errors import ContractError
from bidrec.lake.parts import open_lake
from bidrec.operations import log
from bidrec.storage.intact import require_intact
from bidrec.storage.sealed import read_manifest


def begin_anew(connection: duckdb.DuckDBPyConnection, home: Path) -> list[str]:
    """Nothing, where the home has no lake; otherwise came_<table> is as late as the old lake knows.

    Returns the times (UTC) of the readings that brought what came late, for the new lake's manifest. Raises
    ContractError (65) where the old lake has notices, companies or bids that the source no longer gives: nothing would
    bring them back, also where a wrong configuration was set back the next day.
    """
    if read_manifest(home / "lake") is None:
        return []
    require_intact(home / "lake")
    manifest = open_lake(connection, home / "lake")
    _refuse_to_lose(connection, home)
    log.get("ingest").warning(
        "the source's SQL, columns, zone or parameters, or bidrec's own columns, have changed: the lake begins anew"
    )
    later = "part > (SELECT min(part) FROM lake_reading)"
    connection.execute(
        "CREATE TABLE late_reading AS SELECT read_at FROM lake_reading "
        f"WHERE {later} UNION SELECT unnest(?::TIMESTAMPTZ[])",
        [manifest.get("late_readings", [])],
    )
    moments = {str(moment) for name in TABLES for moment in _as_late_as_before(connection, name)}
    return sorted(moments)


def _refuse_to_lose(connection: duckdb.DuckDBPyConnection, home: Path) -> None:
    lost = {}
    for name in TABLES:
        key = ", ".join(TABLES[name].thing)
        gone = f"FROM (SELECT DISTINCT {key} FROM lake_{name}) ANTI JOIN came_{name} USING ({key})"
        lost[name] = connection.execute(f"SELECT count(*) {gone}").fetchall()[0][0]
    said = ", ".join(f"{number:,} of {name}" for name, number in lost.items() if number)
    if said:
        raise ContractError(
            f"the source's SQL, columns, zone or parameters, or bidrec's own columns, are not those of the lake in "
            f"{home}, and rows of it would be lost: the source no longer gives {said}",
            hint="set them back (after an upgrade: the old bidrec), or use another home; bidrec ingest --force begins "
            "a lake of what the source gives",
        )


def _as_late_as_before(connection: duckdb.DuckDBPyConnection, name: str) -> list[str]:
    """Make the rows of came_<name> known no earlier than the reading that first brought their notice, company or bid,
    where that made it late; returns the times of those readings.

    A company's versions before that moment become one, the last of them.
    """
    key = ", ".join(TABLES[name].thing)
    connection.execute(
        f"""CREATE TABLE late_{name} AS
            SELECT {key}, min(known_at) AS came_at
            FROM lake_{name}
            SEMI JOIN (SELECT {key} FROM lake_{name} WHERE known_at IN (FROM late_reading)) USING ({key})
            GROUP BY {key} HAVING min(known_at) IN (FROM late_reading)"""
    )
    newest = "ORDER BY stated.known_at DESC"
    versions = f"QUALIFY row_number() OVER (PARTITION BY {key}, greatest(stated.known_at, came_at) {newest}) = 1"
    connection.execute(f"ALTER VIEW came_{name} RENAME TO stated_{name}")
    connection.execute(
        f"""CREATE VIEW came_{name} AS
            SELECT stated.* REPLACE (
                greatest(stated.known_at, came_at) AS known_at, coalesce(stated.known_at < came_at, false) AS late
            )
            FROM stated_{name} AS stated LEFT JOIN late_{name} USING ({key})
            {versions if name == "company" else ""}"""
    )
    return [
        str(moment) for (moment,) in connection.execute(f"SELECT DISTINCT came_at::VARCHAR FROM late_{name}").fetchall()
    ]
