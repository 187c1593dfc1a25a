"""Every job in a control group of its own, in which the kernel kills what holds more memory than that.

    python -m benchmarks.memory [--bids 300000] [--memory-limit 200MB] [--group 1500MB] [--json]

The market is invented, its model small: what grows with the tables is DuckDB's, and that is what memory_limit bounds.
Of each job: how it ended, the largest resident size of its process, and its seconds of the processor. The same with a
large --memory-limit says what the jobs take where nothing holds them back. Needs the right to make control groups.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import cgroup
from benchmarks.process import children_cpu_s, told_peak_mb
from bidrec.simulator import simulate

SETTINGS = """
home = "{folder}/home"
memory_limit = "{memory_limit}"
[source]
name = "koneps"
path = "{folder}/source"
[split]
test_days = 40
validation_days = 30
[model]
embedding_dim = 16
table_dim = 16
hidden = [16]
company_hidden = 16
history_length = 8
[training]
batch_size = 1024
epochs = 1
refit = false
[evaluation]
bootstrap = 20
refresh_days = 0
[publish]
top_k = 10
margin = 1.0
"""
BIDREC = ["-m", "jobs.cli"]
COMMANDS = {
    "ingest": [*BIDREC, "ingest"],
    "features": ["-c", "from benchmarks.chaos_jobs import build; build()"],
    "train": [*BIDREC, "train"],
    "write-back": [*BIDREC, "write-back"],
    "materialize": [*BIDREC, "feast", "materialize", "--disable-event-timestamp"],
    "export": [*BIDREC, "recommend", "--all", "--direction", "notice", "--format", "csv", "--to", "{folder}/lists.csv"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bids", type=int, default=300_000)
    parser.add_argument("--memory-limit", default="200MB", help="DuckDB's")
    parser.add_argument("--group", type=int, default=1500, help="MB that each job may hold in all")
    parser.add_argument("--jobs", default=",".join(COMMANDS), help="the first of " + ", ".join(COMMANDS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if why := cgroup.missing():
        sys.exit(why)
    with tempfile.TemporaryDirectory(prefix="bidrec-memory-") as folder:
        found = measure(
            Path(folder), options.bids, options.memory_limit, options.group * 10**6, options.jobs.split(",")
        )
    print(json.dumps(found) if options.json else _text(found))
    sys.exit(any(one["exit_code"] for one in found.values()))


def measure(folder: Path, bids: int, memory_limit: str, group: int, jobs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Run the jobs in turn on a market of so many bids; returns of each its exit code, MB and seconds.

    group: bytes. One that the kernel killed has the exit code -9 and no MB; the later ones are not run.
    """
    notices, companies = max(400, bids // 20), max(150, bids // 60)
    simulate(folder / "source", notices=notices, companies=companies, bids=bids, seed=3, days=700)
    toml = folder / "bidrec.toml"
    toml.write_text(SETTINGS.format(folder=folder, memory_limit=memory_limit), encoding="utf-8")
    found: dict[str, dict[str, Any]] = {}
    for name in jobs:
        before = children_cpu_s()
        with cgroup.limited(group) as limited:
            command = [word.format(folder=folder) for word in COMMANDS[name]]
            done = limited.run(*command, BIDREC_CONFIG=str(toml))
        found[name] = {
            "exit_code": done.returncode,
            "peak_mb": told_peak_mb(done.stderr),
            "cpu_seconds": round(children_cpu_s() - before, 1),
        }
        if done.returncode:
            print(done.stderr[-2000:], file=sys.stderr)
            break
    return found


def _text(found: dict[str, dict[str, Any]]) -> str:
    return "\n".join(
        f"{name:12} exit {one['exit_code']}, at most {one['peak_mb']} MB, {one['cpu_seconds']} CPU s"
        for name, one in found.items()
    )


if __name__ == "__main__":
    main()
