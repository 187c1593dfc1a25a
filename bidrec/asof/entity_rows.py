"""The entity rows of an as-of question as they were given: a DataFrame, or a SELECT in DuckDB's SQL.

Reads   the frame, or of the SELECT its columns and the moments it asks about
Writes  nothing; the caller's frame stays as it was
"""

from dataclasses import dataclass
from typing import Any

import duckdb
import pandas as pd
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df
from pandas.api.types import is_datetime64_any_dtype, is_object_dtype, is_string_dtype

from bidrec.errors import ContractError, InputMissing
from bidrec.sql.words import first_line, quoted

_MAY_BE = "a pandas DataFrame, or a SELECT in DuckDB's SQL"


@dataclass(frozen=True)
class EntityRows:
    rows: pd.DataFrame | str
    """With times as such in the column as_of; a SELECT may stand in brackets."""
    columns: list[str]
    as_of: str
    """The column with the moment that is asked about."""
    span: tuple[Any, Any]
    """The first of these moments and the last."""


def read(connection: duckdb.DuckDBPyConnection, given: pd.DataFrame | str) -> EntityRows:
    """Raises ContractError (65) where the rows are neither or their moments no times, InputMissing (66) where the
    SELECT cannot be read. Naive times are UTC, and so is the connection's zone."""
    if isinstance(given, str):
        return _of_select(connection, f"{given.rstrip().removesuffix(';')}\n")  # which may end in a comment
    if isinstance(given, pd.DataFrame):
        return _of_frame(given)
    raise ContractError(f"entity rows are a {type(given).__name__}", hint=f"give {_MAY_BE}")


def _of_select(connection: duckdb.DuckDBPyConnection, select: str) -> EntityRows:
    try:
        empty = connection.sql(f"SELECT * FROM ({select}) LIMIT 0").df()
        as_of = _as_of(empty)
        moment = f"{quoted(as_of)}::TIMESTAMPTZ"
        span = connection.sql(f"SELECT min({moment}), max({moment}) FROM ({select})").fetchall()[0]
    except duckdb.Error as error:
        raise InputMissing(f"entity rows: {first_line(error)}", hint=f"they are {_MAY_BE}") from error
    return EntityRows(select, list(empty.columns), as_of, span)


def _of_frame(frame: pd.DataFrame) -> EntityRows:
    as_of = _as_of(frame)
    if isinstance(frame[as_of], pd.DataFrame):
        raise ContractError(f"entity rows have several columns {as_of}", hint="keep one of them")
    times = _times(frame[as_of], as_of)
    rows = frame.copy(deep=False)
    rows[as_of] = times
    span = times.min().to_pydatetime(), times.max().to_pydatetime()
    return EntityRows(rows, [*map(str, frame.columns)], as_of, span)


def _as_of(frame: pd.DataFrame) -> str:
    return str(infer_event_timestamp_from_entity_df(dict(zip(frame.columns, frame.dtypes, strict=True))))


def _times(moments: pd.Series, name: str) -> pd.Series:
    """Texts (ISO 8601 alone: nothing guesses which comes first, day or month, nor drops the KST behind an hour) and
    Python's own datetimes, in UTC; a column that is made empty has no type."""
    moments = moments.infer_objects()
    if moments.empty or is_object_dtype(moments) or is_string_dtype(moments):
        try:
            return pd.to_datetime(moments, utc=True, format="ISO8601")
        except (ValueError, TypeError) as error:
            raise ContractError(f"entity rows: {name}: {first_line(error)}", hint="give times, or ISO 8601") from error
    if not is_datetime64_any_dtype(moments):
        raise ContractError(f"entity rows: {name} is {moments.dtype}, no time", hint="pd.to_datetime makes it one")
    return moments
