"""All published recommendations as one long table, streamed: a row for each notice and company of a list.

Reads   published/current
Writes  a Parquet or CSV file, whole or not at all; to_postgres.py writes the same rows into a database

Some lists at a time pass through: memory does not grow with their number.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from bidrec.config import Config
from bidrec.operations import log
from bidrec.publishing.recommend import Published
from bidrec.sql.words import literal
from bidrec.sql.workspace import workspace
from bidrec.storage.whole import whole_file, writing

COLUMNS = {
    "notice_id": "the notice",
    "company_id": "the company",
    "rank": "place of the one in the list of the other, from 1; the list is that of the direction exported",
    "score": "probability that the company bids on the notice",
    "notice_title": "title of the notice",
    "buyer": "who buys: name, or id where there is no name",
    "place": "where, as the notice says",
    "value": "estimated value, in the notice's currency",
    "currency": "that currency, as the notice says (KRW)",
    "closes_at": "until when bids are taken (UTC)",
    "company_name": "name of the company",
    "company_region": "its region",
    "run_id": "the run whose weights made the list",
    "as_of": "the moment up to which everything known went in (UTC)",
}
"""Of every format and both directions, in this order."""

DIRECTIONS = {"notice": "company", "company": "notice"}
"""Whose lists are exported, and what the lists hold."""
LISTS = 1000
"""Lists at a time."""
LONGEST = 2**31 - 1
"""Entries that a list can have, in Arrow."""


@contextmanager
def recommendations(config: Config, direction: str, top: int | None) -> Iterator[tuple[pa.RecordBatchReader, int]]:
    """Yield the rows of all published lists, list after list and by rank, up to `top` of a list (None: all), and how
    many they are.

    Raises InputMissing (66) where nothing is published.
    """
    published = Published(config.home_path)
    lists, longest = _opened(published.file(f"{direction}_recommendations.parquet")), min(top or LONGEST, LONGEST)
    with workspace(config, "export") as (connection, _):
        connection.execute("SET enable_progress_bar = false")  # DuckDB would draw one of its own
        connection.execute(f"SET VARIABLE as_of = {literal(published.as_of.isoformat())}::TIMESTAMPTZ")
        connection.execute(f"SET VARIABLE top = {longest}")
        sql = _sql(direction, published)

        def rows(of: pa.Table) -> pa.Table:
            connection.register("lists", of.append_column("list", pa.array(range(of.num_rows), pa.int64())))
            return connection.execute(sql).to_arrow_table()

        total = sum(_length(batch, direction, longest) for batch in _batches(lists, [f"{DIRECTIONS[direction]}_ids"]))
        schema = rows(lists.schema_arrow.empty_table()).schema
        found = (batch for some in _batches(lists) for batch in rows(pa.Table.from_batches([some])).to_batches())
        yield pa.RecordBatchReader.from_batches(schema, found), total


def _opened(file: Path) -> parquet.ParquetFile:
    """The lists, to be read a megabyte at a time: left to itself, PyArrow holds a row group, a million lists."""
    return parquet.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20)


def _batches(lists: parquet.ParquetFile, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    return lists.iter_batches(LISTS, columns=columns)


def _length(lists: pa.RecordBatch, direction: str, longest: int) -> int:
    lengths = pc.list_value_length(lists[f"{DIRECTIONS[direction]}_ids"])
    return pc.sum(pc.min_element_wise(lengths, longest)).as_py() or 0


def _sql(direction: str, published: Published) -> str:
    """Of some `lists`: their rows with the words for both sides."""
    other = DIRECTIONS[direction]
    notices, companies = (literal(str(published.file(f"{name}.parquet"))) for name in ("notices", "companies"))
    return f"""
        WITH numbered AS (
            SELECT list, {direction}_id, run_id,
                {other}_ids[:getvariable('top')] AS ids, scores[:getvariable('top')] AS scores
            FROM lists),
        listed AS (
            SELECT list, {direction}_id, run_id, unnest(ids) AS {other}_id, unnest(scores) AS score,
                unnest(range(1, len(ids) + 1))::INTEGER AS rank
            FROM numbered)
        SELECT listed.notice_id, listed.company_id, rank, score, title AS notice_title, buyer, place,
            value::DOUBLE AS value, currency, notice.closes_at, name AS company_name, region AS company_region, run_id,
            getvariable('as_of') AS as_of
        FROM listed
        LEFT JOIN read_parquet({notices}) AS notice USING (notice_id)
        LEFT JOIN read_parquet({companies}) AS company USING (company_id)
        ORDER BY list, rank
        """


def export_file(config: Config, direction: str, top: int | None, file_format: str, target: Path) -> dict[str, Any]:
    """Write the recommendations to one `parquet` or `csv` file (UTF-8); returns what was written, as facts.

    On failure the file is what it was; a new one has its rights. Raises InputMissing (66), CannotWrite (73).
    """
    target = target.expanduser().absolute()
    with (
        whole_file(target, keep_rights=True) as partial,
        recommendations(config, direction, top) as (reader, total),
        writing(target, begun=partial),
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
