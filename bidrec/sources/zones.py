"""Whose clock a source's times are of, as DuckDB reads them and as this machine does.

Reads   the rules of the zone that came with DuckDB, and those of Python (the system's, or the package tzdata)
Writes  the session's TimeZone

Governments change the rules, some weeks ahead at times: whoever was built or installed before then reads another hour.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb

from bidrec.errors import ConfigurationError
from bidrec.operations import log
from bidrec.sql.words import literal

_SINCE = datetime(1990, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=366)
"""Deadlines lie ahead."""


def read_clocks_in(connection: duckdb.DuckDBPyConnection, zone: str) -> None:
    """Have the session read clock times in `zone`, and warn where DuckDB's rules of it are not this machine's.

    Raises ConfigurationError (64) for a zone that DuckDB does not know: the machine's own names, such as localtime.
    """
    try:
        connection.execute(f"SET TimeZone = {literal(zone)}")
    except duckdb.NotImplementedException as error:
        raise ConfigurationError(
            f"DuckDB, which reads the tables, knows no zone {zone}", hint="give an IANA name such as Asia/Seoul"
        ) from error
    if differing := _differing(connection, zone):
        log.get("source").warning(
            "this machine and DuckDB, which reads the tables, have different rules of the zone: one of them is out of "
            "date, and if it is DuckDB, these days' times are wrong",
            zone=zone,
            days=f"{differing[0]:%Y-%m-%d} to {differing[-1]:%Y-%m-%d}",
        )


def _differing(connection: duckdb.DuckDBPyConnection, zone: str) -> list[datetime]:
    """Of one moment a week, from _SINCE to a year from now, those at which the two see another hour on the clock."""
    moment = f"(TIMESTAMPTZ '{_SINCE}' + to_seconds(604800 * week))"
    weeks = (datetime.now(UTC) + _AHEAD - _SINCE).days // 7
    offsets = connection.execute(
        f"SELECT epoch({moment} AT TIME ZONE {literal(zone)})::BIGINT - epoch({moment})::BIGINT "
        f"FROM range({weeks}) AS weeks(week) ORDER BY week"
    ).fetchall()
    clock, differing = ZoneInfo(zone), []
    for week, (seconds,) in enumerate(offsets):
        seen = (_SINCE + timedelta(weeks=week)).astimezone(clock)
        if seen.utcoffset() != timedelta(seconds=seconds):
            differing.append(seen)
    return differing
