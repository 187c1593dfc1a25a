"""The small tables of a case, before they are spoilt: as rows, as files, and counted in the files.

Returns bytes of Parquet, CSV or CSV.gz, and a setting as TOML
"""

import csv
import gzip
import io
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from benchmarks.fuzz_values import Rows

START = datetime(2024, 3, 1, 9)


def sound_rows() -> Rows:
    """Twelve notices, six companies, two dozen bids; times without a zone."""
    notices = [
        {
            "notice_id": f"n{number}",
            "published_at": START + timedelta(days=number),
            "closes_at": START + timedelta(days=number + 9),
            "opened_at": START + timedelta(days=number + 10),
            "title": f"도로 Road {number}",
            "value": 1000.0 + number,
            "reissue": 0,
        }
        for number in range(12)
    ]
    companies = [
        {"company_id": f"c{number}", "known_at": START - timedelta(days=99), "region": "North", "employees": 5.0}
        for number in range(6)
    ]
    bids = [
        {
            "notice_id": f"n{number % 12}",
            "company_id": f"c{(number + number // 12) % 6}",
            "event_at": START + timedelta(days=number % 12 + 9),
            "known_at": START + timedelta(days=number % 12 + 10),
            "amount": 900.0,
            "won": number < 12,
        }
        for number in range(24)
    ]
    return {"notice": notices, "company": companies, "bid": bids}


def encoded(rows: list[dict[str, Any]], ending: str) -> bytes:
    if ending == "parquet":
        buffer = io.BytesIO()
        names = list(rows[0]) if rows else ["notice_id"]
        parquet.write_table(pa.table({name: _array([row.get(name) for row in rows]) for name in names}), buffer)
        return buffer.getvalue()
    text = io.StringIO()
    writer = csv.writer(text)
    if rows:
        writer.writerow(list(rows[0]))
    for row in rows:
        writer.writerow([_field(value) for value in row.values()])
    data = text.getvalue().encode("utf-8", "surrogateescape")
    return gzip.compress(data) if ending == "csv.gz" else data


def _array(column: list[Any]) -> pa.Array:
    """Of the values' own type, or where they have several, as text."""
    try:
        return pa.array(column)
    except (pa.ArrowException, OverflowError, ValueError, TypeError):
        return pa.array([None if value is None else _field(value).encode("utf-8", "replace") for value in column])


def _field(value: Any) -> str:
    if value is None:
        return ""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def toml(value: Any) -> str:
    """As TOML writes it; what TOML has no word for, as text without quotes: no TOML at all."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime | int | float):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(toml(one) for one in value)}]"
    return json.dumps(value) if isinstance(value, str) else _field(value)


def rows_in(file: Path) -> int | None:
    """How many rows a file gives, counted by other libraries than those that read it; None where they cannot."""
    try:
        if file.suffix == ".parquet":
            return parquet.read_table(file).num_rows
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("cp949")
        return max(0, sum(1 for row in csv.reader(io.StringIO(text, newline="")) if row) - 1)
    except Exception:
        return None
