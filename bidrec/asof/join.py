"""The as-of join in SQL: for each question the newest row of every view that was known by then.

Reads   Parquet files of the views, the relation `asked` (one row per question)
Writes  SELECTs: those that bidrec.asof.gather runs, and one that says it all

Each view is narrowed to (keys, visible, row number) before anything is sorted: "visible" is the moment at which a row
became the newest one known, so one inequality is left and DuckDB's ASOF JOIN answers it. The features, which are most
of the bytes, are then fetched by row number and never sorted. The floor is bytes read + narrow columns sorted.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bidrec.sql.words import literal, quoted

ASKED = "asked"
"""The relation with the questions; the caller creates it."""
FOUND = "found"
"""The questions with the numbers of the rows that answer them: what `find` selects and `fetch` reads."""

_NEVER = "'-infinity'::TIMESTAMPTZ"
# A row of a source of one or many files; file_index and file_row_number are DuckDB's own columns.
_ROW = "(file_index::HUGEINT * 1099511627776 + file_row_number)::BIGINT"


@dataclass(frozen=True, kw_only=True)
class View:
    """What of one view is asked for. Columns are named as in the file."""

    files: Sequence[str]
    """Parquet files, absolute. Named one by one: a pattern could match other files on the second reading."""
    keys: Mapping[str, str]
    """Key column of the file -> column of `asked`."""
    key_types: Mapping[str, str]
    """Column of `asked` -> DuckDB type of the key it is compared with."""
    event_time: str
    created: str | None = None
    """When the row was written: of rows with one event time the one written last wins, NULL loses."""
    created_filter: bool = False
    """A row counts from `created` on only; one without it never does."""
    ttl: timedelta | None = None
    """How long a row holds, both ends included. None or zero: forever."""
    features: Mapping[str, str]
    """Name in the answer -> column of the file."""
    only: str = ""
    """Condition on the rows that are read; none: all."""

    @property
    def source(self) -> str:
        files = f"read_parquet([{', '.join(literal(file) for file in self.files)}])"
        return f"(SELECT *, file_index, file_row_number FROM {files} WHERE {self.only})" if self.only else files


def select(columns: Sequence[str], as_of: str, views: Sequence[View], untyped: Mapping[str, str] | None = None) -> str:
    """The SELECT that answers `asked`: its columns, then the features of each view in order; one row per question."""
    return f"WITH {FOUND} AS ({find(columns, as_of, views, untyped)})\n{fetch(columns, views)}"


def find(
    columns: Sequence[str],
    as_of: str,
    views: Sequence[View],
    untyped: Mapping[str, str] | None = None,
    made: Collection[int] = (),
    single: Collection[int] = (),
) -> str:
    """The first half: each question with the number of the row that answers it, by view.

    columns: those of `asked`, without as_of's duplicates. as_of: the column with the moment asked about; naive ones are
    UTC (so is the session's zone). untyped: column of `asked` that holds only NULL -> type to compare it as. made: the
    places of the views whose `known` is a table already. single: of these, those with one row a key: nothing has to be
    sorted to find the newest.
    """
    steps: list[str] = []
    joins, rows = "", ""
    for number, view in enumerate(views):
        name = known_name(number)
        if number not in made:
            steps.append(f"{name} AS ({known(view, untyped)})")
        matches = [
            f"{name}.k{place} = {_typed(column, untyped or {})}" for place, column in enumerate(view.keys.values())
        ]
        matches.append(f"{name}.visible <= q.{quoted(as_of)}::TIMESTAMPTZ")
        joins += f"\n{'' if number in single else 'ASOF '}LEFT JOIN {name} ON {' AND '.join(matches)}"
        rows += f", {_alive(view, number, as_of)} AS {row_name(number)}"
    asked = ", ".join(f"q.{quoted(column)}" for column in columns)
    return ("WITH " + ",\n".join(steps) if steps else "") + f"\nSELECT {asked}{rows}\nFROM {ASKED} q{joins}"


def fetch(columns: Sequence[str], views: Sequence[View], held: Collection[int] = ()) -> str:
    """The second half, over the relation `found`: the questions with their features.

    held: the places of the views of which only the row's number is wanted; its column is that of `found`.
    """
    joins, answer = "", [f"{FOUND}.{quoted(column)}" for column in columns]
    for number, view in enumerate(views):
        if number in held:
            answer.append(f"{FOUND}.{row_name(number)}")
            continue
        joins += f"\nLEFT JOIN ({features(view)}) f{number} ON f{number}.file_row = {FOUND}.{row_name(number)}"
        answer += [f"f{number}.v{place} AS {quoted(name)}" for place, name in enumerate(view.features)]
    return f"SELECT {', '.join(answer)}\nFROM {FOUND}{joins}"


def known(view: View, untyped: Mapping[str, str] | None = None) -> str:
    """(k0.., visible, event_time, file_row): one row per key and moment at which another row became the newest."""
    keys = [f"k{place}" for place in range(len(view.keys))]
    columns = [f"s.{quoted(column)} AS k{place}" for place, column in enumerate(view.keys)]
    written = f"s.{quoted(view.created)}::TIMESTAMPTZ" if view.created else _NEVER
    narrow = (
        f"SELECT {', '.join([*columns, ''])}s.{quoted(view.event_time)}::TIMESTAMPTZ AS event_time, "
        f"{written} AS written, {_ROW} AS file_row FROM {view.source} s{_asked_keys(view, untyped or {})}"
    )
    filtered = view.created_filter and view.created is not None
    visible = "greatest(event_time, written)" if filtered else "event_time"
    # Of rows that become visible at one moment: newest event, then written last, then last in the file.
    if view.created:
        newest = (
            "max({'event_time': event_time, 'written': coalesce(written, " + _NEVER + "), 'file_row': file_row}) AS n"
        )
        names = "n.event_time AS event_time, n.file_row AS file_row"
    else:
        newest, names = "max(event_time) AS event_time, max(file_row) AS file_row", "event_time, file_row"
    present = "event_time IS NOT NULL" + (" AND written IS NOT NULL" if filtered else "")
    grouped = (
        f"SELECT {', '.join([*keys, ''])}{visible} AS visible, {newest}\n"
        f"FROM ({narrow})\nWHERE {present} GROUP BY {', '.join([*keys, 'visible'])}"
    )
    known = f"SELECT {', '.join([*keys, ''])}visible, {names} FROM ({grouped})"
    if not filtered:
        return known
    # A row that arrives after one of a later event never becomes the newest.
    by_key = f"PARTITION BY {', '.join(keys)} " if keys else ""
    return f"SELECT * FROM ({known}) QUALIFY event_time >= max(event_time) OVER ({by_key}ORDER BY visible)"


def _asked_keys(view: View, untyped: Mapping[str, str]) -> str:
    """Only rows of keys that are asked about: what is left is sorted."""
    if not view.keys:
        return ""
    matches = [f"s.{quoted(key)} = {_typed(column, untyped)}" for key, column in view.keys.items()]
    return f" SEMI JOIN {ASKED} q ON {' AND '.join(matches)}"


def _alive(view: View, number: int, as_of: str) -> str:
    if not view.ttl:
        return f"{known_name(number)}.file_row"
    microseconds = view.ttl // timedelta(microseconds=1)
    until = f"{known_name(number)}.event_time + to_microseconds({microseconds})"
    return f"CASE WHEN q.{quoted(as_of)}::TIMESTAMPTZ <= {until} THEN {known_name(number)}.file_row END"


def features(view: View) -> str:
    """(file_row, v0..) of every row."""
    columns = _listed(f"{quoted(column)} AS v{place}" for place, column in enumerate(view.features.values()))
    return f"SELECT {_ROW} AS file_row{columns} FROM {view.source}"


def _typed(column: str, untyped: Mapping[str, str]) -> str:
    return f"q.{quoted(column)}::{untyped[column]}" if column in untyped else f"q.{quoted(column)}"


def known_name(number: int) -> str:
    return f"known{number}"


def row_name(number: int) -> str:
    return quoted(f"bidrec row of view {number}")


def _listed(items: Iterable[str]) -> str:
    return "".join(f", {item}" for item in items)
