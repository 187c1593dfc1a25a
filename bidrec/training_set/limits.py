"""Who may bid: the limits notices state and what companies are, as small numbers over exact dictionaries.

Reads   region_limit and licence_limit of features/notice, region and licences of features/company_profile
Writes  notice/limits.npy (N,) and profile/standing.npy (P,), int32: rows of the .parquet beside each, which holds every
        distinct pair of lists `regions`, `licences`; row 0 is NULL, NULL

The model's vocabularies make one value of all rare ones; a limit is a matter of the very word. A profile's standing
counts from the profile's known_at on, as everything else of it. A NULL list of a notice lets anybody bid, one of a
company is not known.
"""

from pathlib import Path

import numpy as np

from bidrec.sql.words import literal, quoted, types_of
from bidrec.training_set.tables import ROW, FeatureTables

COLUMNS = ("regions", "licences")


def write_limits(tables: FeatureTables, folder: Path) -> None:
    _write(tables, "notice", folder / "notice" / "limits", _limit("region_limit"), _limit("licence_limit"))
    region = "CASE WHEN trim(region) <> '' THEN [trim(region)] END"
    # A list without an item is an answer: the company holds no licence.
    _write(tables, "profile", folder / "profile" / "standing", ("region", region), ("licences", _items("licences")))


def _limit(column: str) -> tuple[str, str]:
    return column, f"nullif({_items(column)}, []::VARCHAR[])"


def _items(column: str) -> str:
    """SQL: the list in one order, each item once, no NULL."""
    return f"list_sort(list_distinct({quoted(column)}::VARCHAR[]))"


def _write(tables: FeatureTables, table: str, path: Path, *columns: tuple[str, str]) -> None:
    """Number the distinct rows of the two expressions; a column the source does not have is NULL everywhere."""
    there = types_of(tables.connection, table)
    expressions = [sql if column in there else "NULL::VARCHAR[]" for column, sql in columns]
    both = ", ".join(f"{sql} AS {name}" for sql, name in zip(expressions, COLUMNS, strict=True))
    tables.connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE stated AS
            SELECT (row_number() OVER (ORDER BY regions NULLS FIRST, licences NULLS FIRST) - 1)::INTEGER AS number, *
            FROM (SELECT {both} FROM {table} UNION SELECT NULL, NULL)"""
    )
    names = ", ".join(COLUMNS)
    tables.connection.execute(
        f"COPY (SELECT {names} FROM stated ORDER BY number) TO {literal(f'{path}.parquet')} (COMPRESSION zstd)"
    )
    (number,) = tables.integers(
        f"""SELECT number FROM (SELECT {ROW}, {both} FROM {table}) AS row JOIN stated
            ON row.regions IS NOT DISTINCT FROM stated.regions AND row.licences IS NOT DISTINCT FROM stated.licences
            ORDER BY {ROW}"""
    )
    np.save(path.with_suffix(".npy"), number.astype(np.int32), allow_pickle=False)
