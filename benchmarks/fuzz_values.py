"""Values, rows and files that nobody expects, as strategies of hypothesis.

Returns plain values that print as what they are: a case is told by its repr, and drawn again by its seed
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from bidrec.contract import TABLES

LONG_TITLE = "도로 포장 공사 " * 50_000  # 1 MB of UTF-8

times = st.one_of(
    st.sampled_from(
        [
            *("0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "2024-02-30 00:00:00", "2016-12-31 23:59:60"),
            *("2024-03-10 02:30:00", "2024-11-03 01:30:00", "2024-03-31 01:30:00", "1987-05-10 02:30:00"),
            *("2024-01-01T00:00:00+09:00", "2024-01-01T00:00:00Z", "2024-01-01 00:00:00 Asia/Seoul", "infinity"),
            *("-infinity", "2024", "20240101", "01/02/2024", "294247-01-10 04:00:54", "1e18", "now", "24:00:00"),
        ]
    ),
    st.sampled_from([datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999), date(2024, 2, 29)]),
    st.datetimes(timezones=st.sampled_from([None, UTC, timezone(timedelta(hours=-12)), timezone(timedelta(hours=14))])),
)
numbers = st.one_of(
    st.sampled_from(
        [-1, 0, 2**31, 2**63 - 1, -(2**63), 10**30, "1e400", "-0", "0x10", "1,000", "١٢", "NaN", "inf", ""]
    ),
    st.floats(),
    st.integers(),
    st.booleans(),
)
texts = st.one_of(
    st.sampled_from(
        [
            *(
                "",
                " ",
                "\x00",
                "\\N",
                "NULL",
                "nan",
                "'; DROP TABLE notice; --",
                '"',
                '"",',
                "\r\n",
                "\n",
                "#",
                "\ufeff",
            ),
            *(
                "💥",
                "e\u0301",
                "\u202e",
                "가" * 5000,
                LONG_TITLE,
                "notice_id",
                "${HOME}",
                "../../etc/passwd",
                "%s%n",
                "{}",
            ),
        ]
    ),
    st.text(max_size=20),
)
raw = st.one_of(st.sampled_from([b"\xff\xfe", b"\xb0\xa1", b"\xc3(", b"\x00", b'a"b']), st.binary(max_size=8))
"""For CSV files: bytes that are no UTF-8, or CP949, or neither."""
values = st.one_of(st.none(), times, numbers, texts, raw, st.lists(st.none() | st.text(max_size=3), max_size=3))

Rows = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Spoil:
    """One thing done to the rows of a table."""

    how: str
    table: str
    row: int
    column: int
    value: Any = None

    def __repr__(self) -> str:
        shown = repr(self.value)
        return f"{self.how} {self.table}[{self.row}, {self.column}] {shown if len(shown) < 60 else shown[:60] + '...'}"

    def apply(self, rows: Rows) -> None:
        given = rows[self.table]
        if given:
            _HOW[self.how](self, rows)

    def _name(self, rows: Rows) -> str:
        names = list(rows[self.table][0])
        return names[self.column % len(names)]

    def _cell(self, rows: Rows) -> None:
        rows[self.table][self.row % len(rows[self.table])][self._name(rows)] = self.value

    def _whole_column(self, rows: Rows) -> None:
        name = self._name(rows)
        for row in rows[self.table]:
            row[name] = self.value

    def _without_column(self, rows: Rows) -> None:
        name = self._name(rows)
        rows[self.table] = [{key: row[key] for key in row if key != name} for row in rows[self.table]]

    def _renamed_column(self, rows: Rows) -> None:
        name, new = self._name(rows), str(self.value)
        rows[self.table] = [{new if key == name else key: row[key] for key in row} for row in rows[self.table]]

    def _turned_around(self, rows: Rows) -> None:
        rows[self.table] = [dict(reversed(row.items())) for row in reversed(rows[self.table])]

    def _row_twice(self, rows: Rows) -> None:
        rows[self.table].append(dict(rows[self.table][self.row % len(rows[self.table])]))

    def _without_row(self, rows: Rows) -> None:
        del rows[self.table][self.row % len(rows[self.table])]


_HOW: dict[str, Callable[[Spoil, Rows], None]] = {
    "cell": Spoil._cell,
    "whole column": Spoil._whole_column,
    "without column": Spoil._without_column,
    "renamed column": Spoil._renamed_column,
    "turned around": Spoil._turned_around,
    "row twice": Spoil._row_twice,
    "without row": Spoil._without_row,
}
places = st.integers(0, 1000)
spoils = st.builds(
    Spoil,
    how=st.sampled_from([*["cell"] * 8, *_HOW]),
    table=st.sampled_from(list(TABLES)),
    row=places,
    column=places,
    value=values,
)
