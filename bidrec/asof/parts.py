"""The entity rows in parts that fit the memory limit: ranges of one key; each part reads its own rows of a view.

Reads   the relation `asked`, the footers of the views' files
Writes  nothing

The key is the one under which most bytes of the views lie. Views with that key are read once over all parts where their
files are sorted by it (DuckDB skips the row groups outside a range), and once a part where they are not.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import duckdb

from bidrec.asof.join import ASKED, View
from bidrec.sql.words import literal, quoted, types_of

ASKED_BYTES = 128
"""What an entity row takes while it is joined, about."""
ROW_BYTES = 48
"""What a row of a view takes while it is joined, about; its features come on top."""
VALUE_BYTES = 8
"""What a value takes in memory beyond what it takes in the file, about: there it may be a number in a dictionary."""
SAMPLE = 100_000
EASY = 1 << 29
"""Bytes of a part beyond which a row costs more: hash tables no longer stay near."""
FEW = 8
"""Parts that are made although there is memory for larger ones."""
MOST = 256
"""Parts of a question, each of which looks through all of it: where these are too few for the limit, DuckDB spills."""


@dataclass(frozen=True)
class Part:
    """The entity rows whose `column` is in [low, high); SQL literals, None: no end. NULL is in the first part."""

    column: str | None = None
    low: str | None = None
    high: str | None = None

    @property
    def questions(self) -> str:
        """The condition on the entity rows."""
        if self.column is None:
            return "true"
        return self._within(quoted(self.column)) + ("" if self.low else f" OR {quoted(self.column)} IS NULL")

    def of(self, view: View) -> View:
        """The view without the rows that answer none of the part."""
        conditions = [self._within(quoted(key)) for key, column in view.keys.items() if column == self.column]
        return replace(view, only=" AND ".join(conditions))

    def _within(self, value: str) -> str:
        ends = [f"{value} {sign} {end}" for sign, end in ((">=", self.low), ("<", self.high)) if end]
        return " AND ".join(ends) or "true"


def divide(connection: duckdb.DuckDBPyConnection, views: Sequence[View], room: int) -> list[Part]:
    """Parts of which each takes about `room` bytes while it is joined, or less; MOST at most.

    A key asked about very often is not divided.
    """
    sizes: Counter[str] = Counter()
    for view in views:
        for column in view.keys.values():
            sizes[column] += size(connection, view)
    if not sizes:
        return [Part()]
    column, taken = sizes.most_common(1)[0]
    questions = connection.execute(f"SELECT count(*) FROM {ASKED}").fetchall()[0][0]
    taken += questions * ASKED_BYTES
    number = min(MOST, max(-(-taken // room), min(FEW, -(-taken // EASY))))
    bounds = [*_bounds(connection, column, number)] if number > 1 else []
    return [Part(column, low, high) for low, high in pairwise([None, *bounds, None])]


def size(connection: duckdb.DuckDBPyConnection, view: View) -> int:
    """About how many bytes the view takes in memory, by the footers of its files."""
    files = f"[{', '.join(map(literal, view.files))}]"
    columns = ", ".join(literal(column) for column in view.features.values())
    rows, stored = connection.execute(
        f"SELECT (SELECT sum(num_rows) FROM parquet_file_metadata({files})), "
        f"(SELECT coalesce(sum(total_uncompressed_size), 0) FROM parquet_metadata({files}) "
        f"WHERE split_part(path_in_schema, ', ', 1) IN ({columns}))"
    ).fetchall()[0]
    return int(stored + rows * (ROW_BYTES + VALUE_BYTES * len(view.features)))


def _bounds(connection: duckdb.DuckDBPyConnection, column: str, number: int) -> Iterator[str]:
    """Literals that cut a sample of the column's values into equal parts, ascending, each once."""
    kind = types_of(connection, ASKED)[column]
    if kind.startswith("ENUM"):
        kind = "VARCHAR"  # whose order is that of the views' text
    places = [place / number for place in range(1, number)]
    found = connection.execute(
        f"SELECT list_transform(quantile_disc({quoted(column)}::{kind}, {places}), lambda x: x::VARCHAR) "
        f"FROM (SELECT {quoted(column)} FROM {ASKED} USING SAMPLE {SAMPLE} ROWS)"
    ).fetchall()[0][0]
    for bound in dict.fromkeys(found or []):
        yield f"{literal(bound)}::{kind}"
