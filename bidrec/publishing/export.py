"""All published recommendations as one long table, streamed: a row for each notice and company of a list.

Reads   published/current
Writes  a Parquet or CSV file, whole or not at all; to_postgres.py writes the same rows into a database

DuckDB joins and sorts within its memory limit and spills beside the result; batches pass through one at a time.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pyarrow import csv, parquet

from bidrec import log
from bidrec.casting import literal
from bidrec.config import Config
from bidrec.publishing.recommend import Published
from bidrec.storage import whole_file, writing

COLUMNS = {
    "notice_id": "the notice",
    "company_id": "the company",
    "rank": "place of the one in the list of the other, from 1; the list is that of the direction exported",
    "score": "probability that the company bids on the notice",
    "notice_title": "title of the notice",
    "buyer": "who buys: name, or id where there is no name",
    "place": "where, as the notice says",
    "value": "estimated value, in the notice's currency",
    "closes_at": "until when bids are taken (UTC)",
    "company_name": "name of the company",
    "company_region": "its region",
    "run_id": "the run whose weights made the list",
    "as_of": "the moment up to which everything known went in (UTC)",
}
"""Of every format and both directions, in this order."""

DIRECTIONS = {"notice": "company", "company": "notice"}
"""Whose lists are exported, and what the lists hold."""
BATCH_ROWS = 100_000


@contextmanager
def recommendations(
    config: Config, direction: str, top: int | None, spill: Path
) -> Iterator[tuple[pa.RecordBatchReader, int]]:
    """Yield the rows of all published lists, by the direction's id and rank, up to `top` of a list (None: all), and
    how many they are.

    `spill`: an existing folder for what does not fit in config.memory_limit. Raises InputMissing (66) where nothing is
    published.
    """
    published, other = Published(config.home_path), DIRECTIONS[direction]
    with tempfile.TemporaryDirectory(prefix=".export.", dir=spill) as folder, duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET memory_limit = {literal(config.memory_limit)}")
        connection.execute(f"SET temp_directory = {literal(folder)}")
        connection.execute("SET enable_progress_bar = false")  # DuckDB would draw one of its own
        lists = {
            "lists": str(published.file(f"{direction}_recommendations.parquet")),
            "top": top or 2**31,
        }
        (total,) = connection.execute(
            f"SELECT coalesce(sum(len({other}_ids[:$top])), 0)::BIGINT FROM read_parquet($lists)", lists
        ).fetchall()[0]
        reader = connection.execute(
            f"""
            WITH list AS (
                SELECT {direction}_id, run_id, {other}_ids[:$top] AS ids, scores[:$top] AS scores
                FROM read_parquet($lists)),
            listed AS (
                SELECT {direction}_id, run_id, unnest(ids) AS {other}_id, unnest(scores) AS score,
                    unnest(range(1, len(ids) + 1))::INTEGER AS rank
                FROM list)
            SELECT listed.notice_id, listed.company_id, rank, score, title AS notice_title, buyer, place, value,
                closes_at, name AS company_name, region AS company_region, run_id, $as_of::TIMESTAMPTZ AS as_of
            FROM listed
            LEFT JOIN read_parquet($notices) AS notice USING (notice_id)
            LEFT JOIN read_parquet($companies) AS company USING (company_id)
            ORDER BY {direction}_id, rank
            """,
            {
                **lists,
                "notices": str(published.file("notices.parquet")),
                "companies": str(published.file("companies.parquet")),
                "as_of": published.as_of,
            },
        ).to_arrow_reader(BATCH_ROWS)
        yield reader, total


def export_file(config: Config, direction: str, top: int | None, file_format: str, target: Path) -> dict[str, Any]:
    """Write the recommendations to one `parquet` or `csv` file (UTF-8); returns what was written, as facts.

    On failure the file is what it was. Raises InputMissing (66), CannotWrite (73).
    """
    target = target.expanduser().absolute()
    with (
        whole_file(target) as partial,
        recommendations(config, direction, top, target.parent) as (reader, total),
        writing(target),
        _writer(file_format, partial, reader.schema) as writer,
    ):
        rows = write(reader, total, writer)
    return {"to": str(target), "rows": rows, "bytes": target.stat().st_size}


def write(reader: pa.RecordBatchReader, total: int, writer: Any) -> int:
    """Pass the batches on; returns the number of rows."""
    rows = 0
    for batch in counted(reader, total):
        writer.write_batch(batch)
        rows += batch.num_rows
    return rows


def counted(reader: pa.RecordBatchReader, total: int) -> Iterator[pa.RecordBatch]:
    """The batches, one at a time; the log says how far they are."""
    rows, logger = 0, log.get("recommend")
    for batch in reader:
        yield batch
        rows += batch.num_rows
        logger.info("exporting", done=f"{rows}/{total}")


def _writer(file_format: str, path: Path, schema: pa.Schema) -> Any:
    if file_format == "csv":
        return csv.CSVWriter(path, schema)
    return parquet.ParquetWriter(path, schema, compression="zstd")
