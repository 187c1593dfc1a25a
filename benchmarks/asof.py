"""The as-of join three ways over the same data: CPU seconds, peak memory, and whether the answers are equal.

    python -m benchmarks.asof --pairs 1_000_000 [--versions 12|40|100] [--call persist|to_arrow] [--json]

stock  Feast's own DuckDB store: store.get_historical_features(...), then the call
api    the same calls on the store that feature_repo names (bidrec.asof.offline_store)
job    the job's own path: keys to row numbers, then bidrec.asof.resolve: two row numbers a pair, no feature copied

Each runs in a process of its own. CPU counts from after the imports and the reading of the pairs, which are the same
for stock and api (about 4 s and 0.5 GB at 1 M pairs); the peak is the process's, those included.

What does not fit a machine is not guessed. The stock store makes a row of every pair and earlier version, so beyond
--whole pairs x versions it gets the world in parts, each with the pairs of some companies and the versions of only
these: its CPU is the sum over the parts, its peak the largest of a part. Both flatter it: the ratios are then lower
bounds, and "stock" says how many parts there were. api and job always get the whole.

The invented companies have `--versions` versions each on average, skewed: half of the pairs are of companies with 1.3
times as many or more. Real ones (GePNIC) are more skewed, which would cost the stock store still more.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import asof_contenders, asof_world

CONTENDERS = ("stock", "api", "job")
SAMPLE = 10_000
WHOLE = 40_000_000
"""Pairs x versions that the stock store gets as one, about 10 GB at its peak; beyond it parts have half as many."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--versions", type=int, default=40, help="versions of a company, on average (default: 40)")
    parser.add_argument("--call", choices=("persist", "to_arrow"), default="persist", help="what is asked of the job")
    parser.add_argument("--memory-limit", default="4GB", help="DuckDB's, of api and job; beyond it they spill")
    parser.add_argument(
        "--whole", type=int, default=WHOLE, help="pairs x versions that stock gets as one (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bidrec-asof-") as folder:
        found = compare(Path(folder), options)
    print(json.dumps(found) if options.json else table(found))


def compare(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Write the world, let each contender run on it, and compare what they left in the folder."""
    facts = asof_world.write(folder, options.pairs, options.versions)
    rows = options.pairs * options.versions
    parts = asof_world.split(folder, 1 if rows <= options.whole else -(-2 * rows // options.whole))
    limits = {"call": options.call, "memory_limit": options.memory_limit}
    measured = {"stock": added(run("stock", part, call=options.call) for part in parts)}
    measured |= {name: run(name, folder, **limits) for name in CONTENDERS[1:]}
    found = {"pairs": options.pairs, "versions": options.versions, **limits, **facts, **measured}
    found["equal"] = asof_contenders.answers_are_equal(folder, SAMPLE)
    for name in ("api", "job"):
        for unit, key in (("cpu", "cpu_s"), ("rss", "peak_mib")):
            found[f"{name}_{unit}_ratio"] = round(measured["stock"][key] / measured[name][key], 2)
    return found


def run(contender: str, folder: Path, **how: str) -> dict[str, float]:
    """What asof_contenders.measure returns, from a process of its own; also told on stderr."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.asof_contenders", contender, str(folder)]
    command.append(json.dumps(how))
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured = json.loads(finished.stdout.splitlines()[-1])
    print(f"{contender}: {measured}", file=sys.stderr)
    return measured


def added(parts: Any) -> dict[str, float]:
    """Seconds of all parts together, the peak of the largest."""
    parts = list(parts)
    total = {key: round(sum(part[key] for part in parts), 2) for key in ("cpu_s", "wall_s")}
    return total | {"peak_mib": max(part["peak_mib"] for part in parts), "parts": len(parts)}


def table(found: dict[str, Any]) -> str:
    lines = [
        f"{found['pairs']:,} pairs, {found['companies']:,} companies, {found['company_versions']:,} versions; "
        f"{found['call']}; answers equal: {found['equal']}",
        f"{'':6} {'CPU s':>8} {'wall s':>8} {'peak MiB':>9} {'CPU ratio':>10} {'peak ratio':>11}",
    ]
    for name in CONTENDERS:
        one = found[name]
        ratios = (found.get(f"{name}_cpu_ratio", ""), found.get(f"{name}_rss_ratio", ""))
        lines.append(
            f"{name:6} {one['cpu_s']:8.2f} {one['wall_s']:8.2f} {one['peak_mib']:9.0f} {ratios[0]:>10} {ratios[1]:>11}"
        )
    if found["stock"]["parts"] > 1:
        lines.append(
            f"stock in {found['stock']['parts']} parts, one after the other: seconds added, peak of the largest"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
