"""How the as-of join grows with the pairs under a fixed memory limit, beside what cannot be done without.

    python -m benchmarks.asof_growth [--pairs 30_000_000] [--versions 40] [--memory-limit 4GB] [--json]

api  through Feast's API, entity rows given as a SELECT, answer written to a Parquet file
job  the job's own path: two row numbers a pair

DuckDB gets --memory-limit and spills what does not fit. The limit is DuckDB's alone: a process also holds Python and
Feast (0.3 GB), and the job's path arrays of 50 bytes or so a pair. The floors are those of asof_floor.py, on the same
files in the same run; "copy" is the answer read and written once more, which the API's answer cannot do without.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import asof_world
from benchmarks.asof import run

SIZES = (1_000_000, 10_000_000, 30_000_000)
CONTENDERS = ("api", "floor_api", "floor_copy", "job", "floor_job")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=SIZES[-1], help="the largest size; below it 1 and 10 million")
    parser.add_argument("--versions", type=int, default=40, help="versions of a company, on average (default: 40)")
    parser.add_argument("--memory-limit", default="4GB")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sizes = sorted({size for size in SIZES if size < options.pairs} | {options.pairs})
    found = [measure(size, options.versions, options.memory_limit) for size in sizes]
    linear = {f"{name}_growth": growth(found, name) for name in ("api", "job")}
    print(json.dumps({"sizes": found, **linear}) if options.json else table(found))


def measure(pairs: int, versions: int, memory_limit: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bidrec-asof-") as name:
        folder = Path(name)
        facts = asof_world.write(folder, pairs, versions)
        measured = {}
        for contender in CONTENDERS:
            how = {"entity_rows": "select"} if contender == "api" else {}
            measured[contender] = run(contender, folder, memory_limit=memory_limit, **how)
    return {"pairs": pairs, "versions": versions, "memory_limit": memory_limit, **facts, **measured}


def growth(found: list[dict[str, Any]], name: str) -> float:
    """CPU seconds a pair at the largest size over those at the smallest: 1 is linear."""
    first, last = found[0], found[-1]
    return round(last[name]["cpu_s"] / last["pairs"] / (first[name]["cpu_s"] / first["pairs"]), 2)


def table(found: list[dict[str, Any]]) -> str:
    lines = [
        f"DuckDB's memory limit {found[0]['memory_limit']}; CPU seconds, peak of the process in MiB",
        f"{'pairs':>11} {'api':>7} {'floor':>7} {'copy':>7} {'peak':>6}   {'job':>6} {'floor':>6} {'peak':>6}",
    ]
    for one in found:
        api, job = one["api"], one["job"]
        floors = {name: one[name]["cpu_s"] for name in ("floor_api", "floor_copy", "floor_job")}
        lines.append(
            f"{one['pairs']:11,} {api['cpu_s']:7.1f} {floors['floor_api']:7.1f} {floors['floor_copy']:7.1f} "
            f"{api['peak_mib']:6.0f}   {job['cpu_s']:6.2f} {floors['floor_job']:6.2f} {job['peak_mib']:6.0f}"
        )
    lines.append(f"CPU a pair, largest over smallest: api {growth(found, 'api')}, job {growth(found, 'job')}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
