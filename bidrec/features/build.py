"""Features: the canonical tables become feature tables, by one SQL file each; whole or not at all.

Reads   lake/
Writes  features/{notice,company_profile,bid_log,company_activity}.parquet + manifest.json, which the Feast repository
        and bidrec.training_set read

A row's place in notice.parquet and bid_log.parquet is its number: the other tables point at it. The same lake gives
the same bytes. A column a source adds to its notices or companies is carried through to the feature table.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb

from bidrec import log
from bidrec.casting import literal, quoted, types_of
from bidrec.config import Config
from bidrec.contract import TABLES
from bidrec.errors import ContractError, InputMissing
from bidrec.lake import OWN, open_lake
from bidrec.storage import content_of, fingerprint, read_manifest, whole_folder, write_manifest, writing

EVENT_TIMES = {
    "notice": "published_at",
    "company_profile": "known_at",
    "bid_log": "known_at",
    "company_activity": "known_at",
}
"""The feature tables, in the order in which they are made, each with the time from which on a row is known."""

_PARQUET = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880"
# Later tables read earlier ones by row number; the files are in row order.
_NUMBERED = {
    "notice": ("numbered_notice", "notice_row", "INTEGER"),
    "bid_log": ("numbered_bid_log", "log_row", "BIGINT"),
}
# Lake table -> feature table that carries a source's own columns.
_CARRIED = {"notice": "notice", "company": "company_profile"}
_logger = log.get("features")


def build_features(config: Config, *, force: bool = False, run_rows: int = 250_000) -> dict[str, Any]:
    """Write the feature tables of the lake and return their manifest.

    Skipped when neither the lake nor the SQL has changed since (unless `force`). `run_rows`: about how many bids are
    worked on at a time, which bounds memory. Raises InputMissing (66) without a lake, ContractError (65) where a
    source's own column has the name of a feature, CannotWrite (73).
    """
    started = time.monotonic()
    lake, target = config.home_path / "lake", config.home_path / "features"
    lake_manifest = read_manifest(lake)
    if lake_manifest is None:
        raise InputMissing(f"no lake in {config.home_path}", hint="run: bidrec ingest")
    sql = {name: _sql(name) for name in ("macros", *EVENT_TIMES)}
    inputs = fingerprint({"lake": content_of(lake_manifest), "sql": sql, "parquet": _PARQUET, "run_rows": run_rows})
    before = read_manifest(target)
    if before and before["inputs"] == inputs and not force:
        _logger.info("features are up to date")
        return before
    with whole_folder(target) as folder:
        with _workspace(config) as (connection, spill):
            connection.execute(sql["macros"])
            open_lake(connection, lake)
            _refuse_names_of_features(connection, sql)
            tables = {}
            for name in EVENT_TIMES:
                if name == "company_activity":
                    sql[name] = _in_runs(connection, sql[name], spill, run_rows)
                tables[name] = _write_table(connection, name, sql[name], folder)
        manifest = write_manifest(folder, kind="features", inputs=inputs, tables=tables)
    rows = {name: entry["rows"] for name, entry in tables.items()}
    _logger.info("features written", **rows, seconds=round(time.monotonic() - started, 1))
    return manifest


def _sql(name: str) -> str:
    return files("bidrec.features").joinpath(f"{name}.sql").read_text(encoding="utf-8")


@contextmanager
def _workspace(config: Config) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """A DuckDB that spills to the home beyond config.memory_limit; gone afterwards."""
    with writing(config.home_path):
        spill = Path(tempfile.mkdtemp(prefix=".features.", dir=config.home_path))
    try:
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"SET memory_limit = '{config.memory_limit}'")
            connection.execute(f"SET temp_directory = {literal(str(spill))}")
            yield connection, spill
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def _refuse_names_of_features(connection: duckdb.DuckDBPyConnection, sql: dict[str, str]) -> None:
    """Raise ContractError (65) where a column that the source added has the name of a feature.

    DuckDB would rename one without a word.
    """
    for name, feature in _CARRIED.items():
        given = [column for column in types_of(connection, f"lake_{name}") if column not in OWN]
        added = [column for column in given if TABLES[name].column(column) is None]
        if not added:
            continue
        without = ", ".join(quoted(column) for column in added)
        connection.execute(f"CREATE TEMP TABLE lake_{name} AS SELECT * EXCLUDE ({without}) FROM lake_{name} LIMIT 0")
        twice = {column.lower() for column in added} & {*types_of(connection, f"({sql[feature]})")}
        connection.execute(f"DROP TABLE temp.lake_{name}")
        if twice:
            raise ContractError(
                f"{name}: the source has a column of its own named like a feature: {', '.join(sorted(twice))}",
                hint="rename it in the source's SQL",
            )


def _write_table(connection: duckdb.DuckDBPyConnection, name: str, sql: str, folder: Path) -> dict[str, Any]:
    """Write one feature table, leave it readable to the SQL of the later ones, and return its facts."""
    path, time_column = folder / f"{name}.parquet", EVENT_TIMES[name]
    rows_of = f"read_parquet({literal(str(path))}, file_row_number = true)"
    with writing(folder):
        connection.execute(f"COPY ({sql}) TO {literal(str(path))} ({_PARQUET})")
    if name in _NUMBERED:
        view, number, kind = _NUMBERED[name]
        connection.execute(
            f"CREATE VIEW {view} AS "
            f"SELECT * EXCLUDE (file_row_number), file_row_number::{kind} AS {number} FROM {rows_of}"
        )
    rows, first, last = connection.execute(
        f"SELECT count(*), min({time_column})::VARCHAR, max({time_column})::VARCHAR FROM {rows_of}"
    ).fetchall()[0]
    return {"rows": rows, "range": {time_column: [first, last]}}


def _in_runs(connection: duckdb.DuckDBPyConnection, sql: str, spill: Path, run_rows: int) -> str:
    """Run `sql` for one run of companies after the other; returns the SQL that reads the parts in order."""
    parts: list[str] = []
    for first_company, last_company in _company_runs(connection, run_rows):
        connection.execute("SET VARIABLE first_company = ?", [first_company])
        connection.execute("SET VARIABLE last_company = ?", [last_company])
        parts.append(literal(str(spill / f"part{len(parts):06d}.parquet")))
        with writing(spill):
            connection.execute(f"COPY ({sql}) TO {parts[-1]} (FORMAT parquet)")
    return f"SELECT * FROM read_parquet([{', '.join(parts)}])"


def _company_runs(connection: duckdb.DuckDBPyConnection, run_rows: int) -> list[tuple[str, str]]:
    """Cut the bid log between companies into runs of about `run_rows` bids: (first company, last company) of each."""
    runs = connection.execute(
        f"""
        SELECT min(company_id), max(company_id)
        FROM (SELECT company_id, min(log_row) // {run_rows} AS run FROM numbered_bid_log GROUP BY company_id)
        GROUP BY run ORDER BY run
        """
    ).fetchall()
    return runs or [("", "")]
