"""The answer to an as-of question, part by part, so that neither a join nor an answer outgrows the memory limit.

Reads   the relation `asked`, the Parquet files of the views
Writes  Arrow tables of about BATCH rows; DuckDB's tables of one part at a time

What of a view does not depend on the part is made once: its keys and times as a table of DuckDB's, and where they are
small its features in Arrow, where a row is taken by its place and no hash table is built again for each part. Of a view
that has one row a key nothing has to be sorted to find it.
"""

from collections.abc import Iterator, Mapping, Sequence

import duckdb
import numpy as np
import pyarrow as pa

from bidrec.asof.join import ASKED, FOUND, View, features, fetch, find, known, known_name
from bidrec.asof.parts import divide, size

BATCH = 1 << 17
"""Rows of the answer at once: a row group of the Parquet file that they are written to."""
_EVERY = "every_asked"


def answer(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[str],
    as_of: str,
    views: Sequence[View],
    untyped: Mapping[str, str],
    room: int,
) -> Iterator[pa.Table]:
    """The columns of `asked`, then the features of each view in order; at least one table, each row once in all.

    room: bytes that a part may take while it is joined; views of up to five eighths of it, a quarter of the memory
    limit, are held in memory, and DuckDB gets so much less.
    """
    parts = divide(connection, views, room)
    several = len(parts) > 1
    lasting = [n for n, view in enumerate(views) if several and parts[0].column not in view.keys.values()]
    for number in lasting:
        connection.execute(f"CREATE TEMP TABLE {known_name(number)} AS {known(views[number], untyped)}")
    single = [n for n in lasting if _has_one_row_a_key(connection, views[n], n)]
    held = _hold(connection, {n: views[n] for n in lasting}, room * 5 // 8)
    if several:
        connection.execute(f"ALTER TABLE {ASKED} RENAME TO {_EVERY}")
    empty = True
    for part in parts:
        if several:
            connection.execute(f"CREATE TEMP TABLE {ASKED} AS FROM {_EVERY} WHERE {part.questions}")
        narrowed = [part.of(view) for view in views]
        connection.execute(f"CREATE TEMP TABLE {FOUND} AS {find(columns, as_of, narrowed, untyped, lasting, single)}")
        connection.execute(f"DROP TABLE {ASKED}")
        fetched = connection.execute(fetch(columns, narrowed, held)).to_arrow_reader(BATCH)
        for batch in fetched:
            yield _completed(pa.Table.from_batches([batch]), columns, views, held)
            empty = False
        connection.execute(f"DROP TABLE {FOUND}")
    if empty:
        yield _completed(fetched.schema.empty_table(), columns, views, held)


class Rows:
    """The rows of a view that may answer a question, in memory, to be taken by their number."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, view: View, number: int) -> None:
        """number: the place of the view, whose `known` is a table."""
        table = connection.execute(
            f"FROM ({features(view)}) f SEMI JOIN {known_name(number)} k ON f.file_row = k.file_row ORDER BY file_row"
        ).to_arrow_table()
        self._numbers = table.column(0).to_numpy()
        self._features = table.remove_column(0).combine_chunks()  # out of many chunks lists are taken slowly

    @property
    def bytes(self) -> int:
        return int(self._numbers.nbytes + self._features.nbytes)

    def take(self, numbers: pa.ChunkedArray) -> list[pa.ChunkedArray]:
        """The features of the rows of these numbers; NULL of NULL."""
        wanted = numbers.fill_null(-1).to_numpy()
        order = np.argsort(wanted)  # a search beside the one before it finds its memory in the cache
        places = np.empty_like(order)
        places[order] = np.searchsorted(self._numbers, wanted[order])
        missing = numbers.is_null().to_numpy()
        return self._features.take(pa.array(places, pa.int64(), mask=missing)).columns


def _hold(connection: duckdb.DuckDBPyConnection, views: Mapping[int, View], room: int) -> dict[int, Rows]:
    """Rows of the smallest of the views, which together take up to `room` bytes, off DuckDB's memory."""
    held = {}
    for taken, number in sorted((size(connection, view), number) for number, view in views.items()):
        if taken <= room:
            held[number] = Rows(connection, views[number], number)
            room -= taken
    limit = connection.execute("SELECT parse_formatted_bytes(current_setting('memory_limit'))").fetchall()[0][0]
    connection.execute(f"SET memory_limit = '{limit - sum(rows.bytes for rows in held.values())}B'")
    return held


def _has_one_row_a_key(connection: duckdb.DuckDBPyConnection, view: View, number: int) -> bool:
    """Whether `known` of the view, which is a table, says no key twice."""
    if not view.keys:
        return False
    keys = ", ".join(f"k{place}" for place in range(len(view.keys)))
    twice = f"SELECT count(*) > count(DISTINCT ({keys})) FROM {known_name(number)}"
    return not connection.execute(twice).fetchall()[0][0]


def _completed(table: pa.Table, columns: Sequence[str], views: Sequence[View], held: Mapping[int, Rows]) -> pa.Table:
    """With the features of the views held in place of their rows' numbers."""
    given = iter(table.columns)
    answer = {name: next(given) for name in columns}
    for number, view in enumerate(views):
        values = held[number].take(next(given)) if number in held else given
        answer |= dict(zip(view.features, values, strict=False))
    return pa.table(answer)
