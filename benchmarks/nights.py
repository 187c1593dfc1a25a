"""What a home of many nights costs a night, beside one that holds the same rows in one part.

    python -m benchmarks.nights [--nights 1000] [--a-night 6] [--json]

A market is invented, ingested and trained on but for its last day. A copy of that home is cut into what as many nightly
ingests and builds would have left: a part of each lake table, a segment of each feature table and a quarantine a night.
(In company_state each row is its company's newest, at every night that told something of it.) Then the last day comes,
and each job runs on both homes in a process of its own, with at most 1,024 open files. Of each: CPU and wall seconds,
the largest resident size of the process; of both homes: files, bytes, bytes of the manifests. As nothing else differs,
what the second takes longer is the price of the parts.
"""

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.memory import BIDREC, COMMANDS, SETTINGS
from benchmarks.process import children_cpu_s, told_peak_mb
from bidrec.contract import TABLES
from bidrec.features.build import EVENT_TIMES
from bidrec.features.merging import merge, too_many
from bidrec.lake import quarantine
from bidrec.lake.merging import put_together
from bidrec.lake.merging import too_many as too_many_parts
from bidrec.lake.parts import merged_file, part_file
from bidrec.simulator import simulate
from bidrec.storage.sealed import MANIFEST, read_manifest, write_json
from bidrec.storage.sums import facts_of

FIRST_DAYS = 400
"""Days of the first ingest, before the nights."""
OPEN_FILES = 1024
JOBS = {
    **{name: COMMANDS[name] for name in ("ingest", "features", "write-back")},
    "recommend": [*BIDREC, "recommend", "--company", "{company}"],
    "get-historical-features": [
        *(*BIDREC, "feast", "get-historical-features", "-f", "company_activity:bids_90d"),
        *("-d", '[{{"company_id": "{company}", "event_timestamp": "{now}"}}]'),
    ],
    "materialize-incremental": [*BIDREC, "feast", "materialize-incremental", "{now}"],
    "doctor": [*BIDREC, "doctor"],
    "runs": [*BIDREC, "runs"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=int, default=1000)
    parser.add_argument("--a-night", type=int, default=6, help="notices; bids are five times as many")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bidrec-nights-") as folder:
        found = measure(Path(folder), options.nights, options.a_night)
    print(json.dumps(found) if options.json else table(found))
    sys.exit(any(one["exit_code"] for home in found.values() for one in home["jobs"].values()))


def measure(folder: Path, nights: int, a_night: int) -> dict[str, dict[str, Any]]:
    """Of the home of one part (`once`) and that of the `nights`: its jobs, files, bytes and manifests."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    end = datetime.now().replace(hour=0, minute=0, second=0, microsecond=0)
    end -= timedelta(days={6: 1, 0: 2}.get(end.weekday(), 0))  # at the weekend nothing is published
    settings = SETTINGS.format(folder=folder, memory_limit="1GB").replace(f"{folder}/home", "${BIDREC_HOME}")
    (folder / "bidrec.toml").write_text(settings, encoding="utf-8")
    _in_child(invent, folder, nights + FIRST_DAYS, a_night, end)
    use(folder, "before")
    _run(folder, "once", [*BIDREC, "train"])
    shutil.copytree(folder / "once", folder / "nights")
    _in_child(cut, folder / "nights", [end - timedelta(days=day) for day in range(nights, -1, -1)])
    use(folder, "after")
    return {home: {"home": _size(folder / home), "jobs": _jobs(folder, home)} for home in ("once", "nights")}


def _in_child(work: Any, *given: Any) -> None:
    """A process begins at the memory of what started it: this one stays small."""
    child = multiprocessing.Process(target=work, args=given)
    child.start()
    child.join()
    if child.exitcode:
        sys.exit(f"{work.__name__} exits {child.exitcode}")


def invent(folder: Path, days: int, a_night: int, end: datetime) -> None:
    """The source with its last day, and before it."""
    notices = days * a_night
    simulate(folder / "after", notices=notices, companies=300, bids=5 * notices, seed=3, days=days, end=end)
    moment = f"TIMESTAMP '{end - timedelta(days=1)}'"
    opened = f"(SELECT bidntceno, bidntceord FROM '{folder}/after/notice/*.parquet' WHERE opengdt < {moment})"
    known = {"notice": f"rgstdt < {moment}", "company": "true", "bid": f"(bidntceno, bidntceord) IN {opened}"}
    for name, condition in known.items():
        (folder / "before" / name).mkdir(parents=True)
        rows = f"FROM '{folder}/after/{name}/*.parquet' WHERE {condition}"
        duckdb.execute(f"COPY ({rows}) TO '{folder}/before/{name}/1.parquet' (FORMAT parquet)")


def use(folder: Path, source: str) -> None:
    shutil.rmtree(folder / "source", ignore_errors=True)
    shutil.copytree(folder / source, folder / "source")


def cut(home: Path, nights: list[datetime]) -> None:
    """Make of the one part of each table what an ingest and a build each night would have left."""
    lake, features = read_manifest(home / "lake"), read_manifest(home / "features")
    assert lake
    assert features
    numbers = range(1, len(nights) + 1)
    files: dict[str, Any] = {}
    for name in TABLES:
        parts = [*_cut_file(home / "lake", part_file(name, 1), "known_at", nights)]
        cut_off = {file: facts_of(home / "lake" / file) for file, _, _ in parts}
        lake["parts"][name] = [
            {"file": file, "part": part, "rows": rows, "sha256": cut_off[file]["sha256"]} for file, part, rows in parts
        ]
        lake["parts"][name] = _put_together(home / "lake", name, lake["parts"][name])
        held = dict.fromkeys(part["file"] for part in lake["parts"][name])
        files |= {file: cut_off.get(file) or facts_of(home / "lake" / file) for file in held}
    ingests = [lake["ingests"][0] | {"ingest": part, "read_at": f"{nights[part - 1]}+00:00"} for part in numbers]
    write_json(home / "lake" / MANIFEST, lake | {"ingest": len(nights), "ingests": ingests, "files": files})
    features["parts"] = {name: [part["sha256"] for part in lake["parts"][name]] for name in TABLES}
    _cut_features(home / "features", features, nights)
    for number in numbers[1:]:
        shutil.copytree(quarantine.folder_of(home, 1), quarantine.folder_of(home, number))


def _put_together(lake: Path, name: str, parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The parts in the files in which the ingests would have left them."""
    held: list[dict[str, Any]] = []
    for part in parts:
        moved = {one["part"] for one in too_many_parts(held)}
        merged = merged_file(name, part["part"])
        held = [one | {"file": merged} if one["part"] in moved else one for one in held] + [part]
    apart = {part["part"]: part for part in parts}
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for file in {one["file"] for one in held} - {part["file"] for part in parts}:
            of_it = [apart[one["part"]] for one in held if one["file"] == file]
            put_together(connection, lake, lake, int(Path(file).stem.removeprefix("merged-")), name, of_it)
            for part in of_it:
                (lake / part["file"]).unlink()
    return held


def _cut_features(folder: Path, manifest: dict[str, Any], nights: list[datetime]) -> None:
    """A segment of each table a night, put together as the builds would have done it."""
    _state_of_every_night(folder)
    tables = manifest["tables"]
    written: dict[int, dict[str, dict[str, Any]]] = defaultdict(dict)
    for name, time_column in EVENT_TIMES.items():
        for file, night, rows in _cut_file(folder, part_file(name, 1), time_column, nights):
            written[night][name] = {"file": file, "rows": rows}
        tables[name] = tables[name] | {"segments": [], "rows": 0}
    manifest |= {"files": {}}
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for night in range(1, len(nights) + 1):
            if any(too_many(table["segments"]) for table in manifest["tables"].values()):
                write_json(folder / MANIFEST, manifest)
                manifest = merge(connection, folder, folder, night, manifest)
            for name, one in written[night].items():
                held = manifest["tables"][name]
                held |= {"segments": [*held["segments"], one], "rows": held["rows"] + one["rows"]}
                manifest["files"][one["file"]] = facts_of(folder / one["file"])
    write_json(folder / MANIFEST, manifest | {"build": len(nights)})


def _state_of_every_night(features: Path) -> None:
    """A build writes the state of each company of which it was told something: one that does all of them, once."""
    state, activity = (features / part_file(name, 1) for name in ("company_state", "company_activity"))
    told = f"SELECT company_id, max(known_at) AS told FROM '{activity}' GROUP BY company_id, known_at::DATE"
    rows = f"SELECT * EXCLUDE (told) REPLACE (told AS known_at) FROM '{state}' JOIN ({told}) USING (company_id)"
    with duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = 'UTC'; COPY ({rows}) TO '{state}.nights' (FORMAT parquet)")
    os.replace(f"{state}.nights", state)


def _cut_file(box: Path, file: str, time_column: str, nights: list[datetime]) -> Iterator[tuple[str, int, int]]:
    """Cut a file of the box between the nights; yields the (file, number, rows) of those that have any."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE TABLE whole AS FROM '{box / file}'")
        moments = ", ".join(f"TIMESTAMPTZ '{night}'" for night in nights[:-1])
        night = f"1 + list_count(list_filter([{moments}], lambda moment: moment < {time_column}))"
        connection.execute(f"CREATE TABLE by_night AS SELECT *, {night} AS night FROM whole ORDER BY night, rowid")
        counted = connection.execute("SELECT night, count(*) FROM by_night GROUP BY night ORDER BY night").fetchall()
        (box / file).unlink()
        for number, rows in counted:
            name = part_file(str(Path(file).parent), number)
            one = f"SELECT * EXCLUDE (night) FROM by_night WHERE night = {number}"
            connection.execute(f"COPY ({one}) TO '{box / name}' (FORMAT parquet, COMPRESSION zstd)")
            yield name, number, rows


def _jobs(folder: Path, home: str) -> dict[str, dict[str, Any]]:
    files = f"{folder / home}/features/company_activity/*.parquet"
    (company,) = duckdb.execute(f"SELECT min(company_id) FROM '{files}'").fetchall()[0]
    given = {"company": company, "now": datetime.now().isoformat(timespec="seconds")}
    return {name: _run(folder, home, [word.format(**given) for word in job]) for name, job in JOBS.items()}


def _run(folder: Path, home: str, job: list[str]) -> dict[str, Any]:
    environment = os.environ | {"BIDREC_CONFIG": str(folder / "bidrec.toml"), "BIDREC_HOME": str(folder / home)}
    started, before = time.monotonic(), children_cpu_s()
    done = subprocess.run([sys.executable, *job], env=environment, capture_output=True, text=True)
    used = children_cpu_s() - before
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
    return {
        "exit_code": done.returncode,
        "cpu_s": round(used, 1),
        "wall_s": round(time.monotonic() - started, 1),
        "peak_mb": told_peak_mb(done.stderr),
    }


def _size(home: Path) -> dict[str, int]:
    files = [file for file in home.rglob("*") if file.is_file() and not file.is_relative_to(home / "runs")]
    manifests = sum((home / box / MANIFEST).stat().st_size for box in ("lake", "features"))
    return {"files": len(files), "bytes": sum(file.stat().st_size for file in files), "manifests": manifests}


def table(found: dict[str, dict[str, Any]]) -> str:
    lines = [f"{'':24} {'in one part: CPU s':>18} {'s':>6} {'MB':>5} {'a part a night: CPU s':>22} {'s':>6} {'MB':>5}"]
    for name in JOBS:
        once, nights = (found[home]["jobs"][name] for home in ("once", "nights"))
        lines.append(
            f"{name:24} {once['cpu_s']:18.1f} {once['wall_s']:6.1f} {once['peak_mb'] or '':>5} "
            f"{nights['cpu_s']:22.1f} {nights['wall_s']:6.1f} {nights['peak_mb'] or '':>5}"
        )
    for home, one in found.items():
        size = ", ".join(f"{value:,} {name}" for name, value in one["home"].items())
        lines.append(f"{home}, without runs/: {size} (of lake and features)")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
