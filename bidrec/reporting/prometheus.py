"""How a job ended, as Prometheus metrics in a file: a batch job is gone before anybody could scrape it.

Writes  $BIDREC_METRICS_DIR/bidrec_<job>.prom, whole, where that variable names a folder: the one that node_exporter's
        textfile collector reads. Each end of a job replaces what its last one said.

$BIDREC_MARKET, where several homes write there, keeps them apart: in the file's name, and as the label `market`.
"""

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from bidrec.errors import CannotWrite
from bidrec.operations.log import MARKET
from bidrec.storage.whole import write_text

FOLDER = "BIDREC_METRICS_DIR"
EXPLAINED = {
    "job_exit_code": "Exit code of the job's last end; 0 is done.",
    "job_finished_timestamp_seconds": "When it ended, in seconds since 1970 (UTC).",
    "job_duration_seconds": "How long it took.",
    "job_peak_memory_bytes": "The most memory it held.",
    "run_info": "The run that was trained, measured or published; always 1.",
    "recall": "Share of a test notice's bidders among the first k, mean over the notices (companies as at the cutoff).",
    "rows": "Rows of a table that was written: of the lake all there are, of a publication its own.",
    "rows_given": "Rows of the table that the source gave when it was last read.",
    "rows_quarantined": "Rows of the source's table that were refused.",
    "newest_row_timestamp_seconds": "The newest publication of a notice, and when the newest bid or company was known.",
    "source_read_timestamp_seconds": "When the source was last read, or seen to be as it was.",
    "published_as_of_timestamp_seconds": "Up to when what is known went into the publication.",
    "open_notices": "Notices that have a list in the publication.",
}


@dataclass(frozen=True)
class Gauge:
    name: str
    """A key of EXPLAINED; `bidrec_` goes before it."""
    value: float
    labels: dict[str, str] = field(default_factory=dict)


def of_run(metrics: dict[str, Any]) -> list[Gauge]:
    """What a run's metrics.json says: its id, and the recall of every ranker at every k."""
    rankers = metrics["metrics"]["frozen"]
    recalls = [
        Gauge("recall", value, {"ranker": ranker, "k": measure.removeprefix("recall@")})
        for ranker, measures in rankers.items()
        for measure, value in measures.items()
        if measure.removeprefix("recall@").isdigit() and value is not None
    ]
    return [Gauge("run_info", 1, {"run": metrics["run"]}), *recalls]


def of_lake(manifest: dict[str, Any], reading: dict[str, Any]) -> list[Gauge]:
    """What the lake's manifest and its last reading (bidrec.lake.parts.newest_reading) say of each table."""
    tables = manifest["tables"]
    newest = {
        name: (table["range"].get("published_at") or table["range"]["known_at"])[1] for name, table in tables.items()
    }
    return [
        *of_rows("rows", {name: table["rows"] for name, table in tables.items()}),
        *of_rows("rows_given", reading.get("given", {})),
        *of_rows("rows_quarantined", {name: table["quarantined"] for name, table in tables.items()}),
        *(moment("newest_row_timestamp_seconds", time, {"table": name}) for name, time in newest.items() if time),
        moment("source_read_timestamp_seconds", reading["read_at"]),
    ]


def of_publication(manifest: dict[str, Any]) -> list[Gauge]:
    """What the manifest of a version of published/ says: its run, how far its data go, and its rows."""
    return [
        Gauge("run_info", 1, {"run": manifest["run"]}),
        moment("published_as_of_timestamp_seconds", manifest["as_of"]),
        Gauge("open_notices", manifest["open_notices"]),
        *of_rows("rows", manifest["rows"]),
    ]


def moment(name: str, time: str, labels: dict[str, str] | None = None) -> Gauge:
    """A time in ISO 8601 as seconds since 1970."""
    return Gauge(name, datetime.fromisoformat(time).timestamp(), labels or {})


def of_rows(name: str, rows: dict[str, int]) -> list[Gauge]:
    """Rows by table, under one of the names of rows."""
    return [Gauge(name, number, {"table": table}) for table, number in rows.items()]


def write(job: str, *, exit_code: int, seconds: float, peak_bytes: int, gauges: Iterable[Gauge]) -> None:
    """Write the job's file where BIDREC_METRICS_DIR is set. Raises CannotWrite (73)."""
    folder = os.environ.get(FOLDER)
    if not folder:
        return
    end = [
        Gauge("job_exit_code", exit_code),
        Gauge("job_finished_timestamp_seconds", round(time.time())),
        Gauge("job_duration_seconds", seconds),
        Gauge("job_peak_memory_bytes", peak_bytes),
    ]
    market = os.environ.get(MARKET)
    labels = {"job": job} | ({"market": market} if market else {})
    named = re.sub(r"\W", "_", f"{market}_{job}" if market else job)
    file = Path(folder) / f"bidrec_{named}.prom"
    text = "".join(f"{line}\n" for line in _lines(labels, [*end, *gauges]))
    try:
        write_text(file, text)
    except CannotWrite:
        # Of a disk that is full, what the job's last end said is no more true, and its room may do for this one.
        with suppress(OSError):
            file.unlink(missing_ok=True)
        write_text(file, text)


def _lines(common: dict[str, str], gauges: Iterable[Gauge]) -> Iterator[str]:
    """Prometheus's text format: the gauges of one name stand together below their explanation."""
    for name, alike in groupby(sorted(gauges, key=lambda gauge: gauge.name), key=lambda gauge: gauge.name):
        yield f"# HELP bidrec_{name} {EXPLAINED[name]}"
        yield f"# TYPE bidrec_{name} gauge"
        for gauge in alike:
            labels = ",".join(f'{key}="{_escaped(value)}"' for key, value in (common | gauge.labels).items())
            yield f"bidrec_{name}{{{labels}}} {gauge.value}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
