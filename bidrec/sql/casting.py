"""Casts that lose nothing: the conversion of a column to its declared type, and the values that would not survive it.

Serves  the way to the lake, twice: the raw tables (`bidrec/sources/`) and the canonical ones (`bidrec/lake/checks.py`)
"""

import duckdb

from bidrec.errors import ContractError
from bidrec.sql.words import INTEGERS, first_line, is_number, quoted

_HINT = "correct the rows, or declare the column VARCHAR in source.toml and convert it in the source's SQL"
_TIME_HINT = "; a time with an offset of its own (Z, +09:00) is a TIMESTAMPTZ"
_CLOCK_TIMES = ("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS")
_COARSE = ("DATE", "TIMESTAMP_S", "TIMESTAMP_MS")
"""Those that round what the lake would hold. What DOUBLE and TIMESTAMP have no room for, it has none for either."""
_OFFSET = ":.*[-+A-Za-z]"
"""Of a time as text: a sign or a letter behind the hour."""
_ONE_ZONE = r"(?i)([\d ](Z|UTC|GMT)|/\w+)\s*$"
"""Of a time with letters behind the hour: they mean one zone to everybody, UTC or Area/City."""


def cast(column: str, given: str, wanted: str) -> str:
    """SQL for the column as type `wanted`; blank text is NULL in every type but text."""
    name = quoted(column)
    if given == wanted:
        return name
    if given == "VARCHAR":
        name = f"nullif(trim({name}), '')"
    return f"TRY_CAST({name} AS {wanted})"


def refuse_loss(
    connection: duckdb.DuckDBPyConnection, table: str, relation: str, given: dict[str, str], wanted: dict[str, str]
) -> None:
    """Raise ContractError (65) if a value of `relation` cannot become the wanted type of its column unchanged.

    given, wanted: column name -> type. Every bad column is reported at once, with how many rows and one value.
    """
    lost = {column: _lost(column, given[column], kind) for column, kind in wanted.items() if given[column] != kind}
    if not lost:
        return
    counts = ", ".join(
        f"count_if({condition}), min(CASE WHEN {condition} THEN {quoted(column)}::VARCHAR END)"
        for column, condition in lost.items()
    )
    try:
        total, *found = connection.execute(f"SELECT count(*), {counts} FROM {relation}").fetchall()[0]
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException) as error:
        kinds = ", ".join(f"{column} {given[column]} for {wanted[column]}" for column in lost)
        raise ContractError(f"{table}: a column has an impossible type ({kinds}): {first_line(error)}") from error
    bad = {
        column: f"{column} must be {wanted[column]}, but {number} of {total} rows are not (for example {example!r})"
        for column, number, example in zip(lost, found[::2], found[1::2], strict=True)
        if number
    }
    if bad:
        has_times = any(wanted[column] in _CLOCK_TIMES for column in bad)
        raise ContractError(f"{table}: " + "; ".join(bad.values()), hint=_HINT + (_TIME_HINT if has_times else ""))


def _lost(column: str, given: str, wanted: str) -> str:
    """SQL condition: the row's value does not survive the cast."""
    value, name = cast(column, given, wanted), quoted(column)
    present = f"nullif(trim({name}), '') IS NOT NULL" if given == "VARCHAR" else f"{name} IS NOT NULL"
    changed = ""
    if is_number(wanted) and wanted != "DOUBLE" and not {given, wanted} <= INTEGERS:
        # '1.5' would be rounded. Compared as what is written: .1 is another number in each type.
        changed = f" OR TRY_CAST({name}::VARCHAR AS DOUBLE) <> TRY_CAST({value}::VARCHAR AS DOUBLE)"
    elif given == "VARCHAR" and wanted.endswith("[]"):
        # DuckDB makes an item of another shape, with a key more, a NULL.
        changed = f" OR (len({value}) > list_count({value}) AND NOT contains(lower({name}), 'null'))"
    elif wanted == "BOOLEAN" and given != "VARCHAR":
        changed = f" OR {name} NOT IN (0, 1)"  # any number would be true
    elif wanted in _COARSE and given != "VARCHAR":
        changed = f" OR {name} <> {value}"  # the time of day would go
    elif wanted in _COARSE:
        changed = f" OR {cast(column, given, 'TIMESTAMP')} IS DISTINCT FROM {value}"  # likewise, and what stands behind
    elif wanted in _CLOCK_TIMES and given == "TIMESTAMPTZ":
        changed = f" OR {value}::TIMESTAMPTZ <> {name}"  # of the hour that a clock shows twice, the first would go
    elif wanted == "TIMESTAMPTZ" and given == "VARCHAR":
        # BST, IST and CST are of several countries each: DuckDB takes London's for Dhaka's.
        changed = f" OR (regexp_matches({name}, ':.*[A-Za-z]') AND NOT regexp_matches({name}, '{_ONE_ZONE}'))"
    if given == "VARCHAR" and wanted in _CLOCK_TIMES:
        changed += f" OR regexp_matches({name}, '{_OFFSET}')"  # an offset would go
    return f"{present} AND ({value} IS NULL{changed})"
