"""What a company's versions cost: ten years of bids at once, then 1, 10 and 100 further days.

    python -m benchmarks.history --bids 20_000_000 --companies 500_000 [--memory-limit 6GB] [--json]

Builds the features of an invented lake (history_world.py), each build in a process of its own: wall and CPU seconds,
peak memory, bytes written per table. What an increment costs with hardly any bids is the looking through of the past
for what its companies need. The floor of the first build is the lake read and the tables written once, as they are.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import history_world
from benchmarks.process import peak_mib
from bidrec.config import Config
from bidrec.features.build import build_features
from bidrec.storage.sealed import read_manifest

STEPS = (1, 10, 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bids", type=int, default=1_000_000)
    parser.add_argument("--companies", type=int, default=25_000)
    parser.add_argument("--memory-limit", default="6GB", help="DuckDB's")
    parser.add_argument(
        "--folder", type=Path, help="where the lake and its features are made (default: a temporary one)"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--run", type=Path, metavar="HOME", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(measure(options.run, options.memory_limit)))
        return
    with tempfile.TemporaryDirectory(prefix="bidrec-history-", dir=options.folder) as folder:
        found = compare(Path(folder), options)
    print(json.dumps(found) if options.json else table(found))


def compare(home: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The first build, then each step's days as one more ingest."""
    history_world.write_first(home, options.bids, options.companies)
    found: dict[str, Any] = {"bids": options.bids, "companies": options.companies}
    found["first"] = run(home, options.memory_limit)
    found["floor_s"] = floor(home)
    found["bytes_per_version"] = {
        name: round(size / max(found["first"]["versions"], 1), 1) for name, size in found["first"]["bytes"].items()
    }
    day = 0
    for days in STEPS:
        history_world.add_days(home, options.bids, options.companies, day, day + days)
        found[f"days_{days}"] = run(home, options.memory_limit)
        day += days
    return found


def run(home: Path, memory_limit: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.history", "--run", str(home), "--memory-limit", memory_limit]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(finished.stdout.splitlines()[-1])


def measure(home: Path, memory_limit: str) -> dict[str, Any]:
    """Build the home's features in this process; what this build alone has added."""
    before = read_manifest(home / "features")
    started, cpu = time.monotonic(), time.process_time()
    manifest = build_features(Config(home=str(home), memory_limit=memory_limit))
    wall, cpu = time.monotonic() - started, time.process_time() - cpu
    old = set(before["files"]) if before else set()
    new = {name: facts["bytes"] for name, facts in manifest["files"].items() if name not in old}
    rows = {
        name: entry["rows"] - (before["tables"][name]["rows"] if before else 0)
        for name, entry in manifest["tables"].items()
    }
    return {
        "wall_s": round(wall, 1),
        "cpu_s": round(cpu, 1),
        "peak_mib": peak_mib(),
        "bids": rows["bid_log"],
        "versions": rows["company_activity"],
        "bytes": {name.split("/")[0]: size for name, size in new.items()},
    }


def floor(home: Path) -> float:
    """CPU seconds to read the lake and the feature tables, and write the latter, once, as they are."""
    started = time.process_time()
    with duckdb.connect() as connection:
        connection.execute("SET memory_limit = '4GB'; SET preserve_insertion_order = false")
        for number, pattern in enumerate(("lake/*/*.parquet", "features/*/*.parquet")):
            for folder in sorted({path.parent for path in home.glob(pattern)}):
                target = f"{home}/floor.parquet"
                rows = f"SELECT * FROM read_parquet('{folder}/*.parquet')"
                if number:
                    connection.execute(f"COPY ({rows}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
                else:
                    connection.execute(f"SELECT count(hash(t)) FROM ({rows}) AS t")
    Path(f"{home}/floor.parquet").unlink(missing_ok=True)
    return round(time.process_time() - started, 1)


def table(found: dict[str, Any]) -> str:
    lines = [f"{'':10} {'bids':>12} {'versions':>12} {'wall s':>8} {'CPU s':>8} {'peak MiB':>9} {'MB written':>11}"]
    for name in ("first", *(f"days_{days}" for days in STEPS)):
        one = found[name]
        lines.append(
            f"{name:10} {one['bids']:12,} {one['versions']:12,} {one['wall_s']:8.1f} {one['cpu_s']:8.1f} "
            f"{one['peak_mib']:9,} {sum(one['bytes'].values()) / 1e6:11.1f}"
        )
    per_version = ", ".join(f"{name} {size}" for name, size in found["bytes_per_version"].items())
    return "\n".join([*lines, f"floor of the first: {found['floor_s']} CPU s", f"bytes per version: {per_version}"])


if __name__ == "__main__":
    main()
