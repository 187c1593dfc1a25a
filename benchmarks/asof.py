"""The as-of join three ways over the same data: CPU seconds, peak memory, and whether the answers are equal.

    python -m benchmarks.asof --pairs 1_000_000 [--versions 12|40|100] [--call persist|to_arrow] [--json]

stock  Feast's own DuckDB store: store.get_historical_features(...), then the call
api    the same calls on the store that feature_repo names (bidrec.asof.offline_store)
job    the job's own path: keys to row numbers, then bidrec.asof.resolve: two row numbers a pair, no feature copied

Each runs in a process of its own. CPU counts from after the imports and the reading of the pairs, which are the same
for stock and api (about 4 s and 0.5 GB at 1 M pairs); the peak is the process's, those included. The invented companies
have `--versions` versions each on average, skewed: half of the pairs are of companies with 1.4 times as many or more.
Real ones (GePNIC) are more skewed, which would cost the stock store still more.
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--versions", type=int, default=40, help="versions of a company, on average (default: 40)")
    parser.add_argument("--call", choices=("persist", "to_arrow"), default="persist", help="what is asked of the job")
    parser.add_argument("--memory-limit", default="", help="DuckDB's, of the api contender; beyond it it spills")
    parser.add_argument("--only", choices=CONTENDERS, action="append", help="leave the others out")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--run", nargs=2, metavar=("CONTENDER", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        contender, folder = options.run
        measured = asof_contenders.measure(contender, Path(folder), options.call, options.memory_limit)
        print(json.dumps(measured))
        return
    with tempfile.TemporaryDirectory(prefix="bidrec-asof-") as folder:
        found = compare(Path(folder), options)
    print(json.dumps(found) if options.json else table(found))


def compare(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Write the world, let each contender run on it, and compare what they left in the folder."""
    facts = asof_world.write(folder, options.pairs, options.versions)
    names = options.only or CONTENDERS
    measured = {name: run(name, folder, options) for name in names}
    found: dict[str, Any] = {"pairs": options.pairs, "versions": options.versions, "call": options.call, **facts}
    found |= {name: measured[name] for name in names}
    if set(names) == set(CONTENDERS):
        found["equal"] = asof_contenders.answers_are_equal(folder, SAMPLE)
        for name in ("api", "job"):
            for unit, key in (("cpu", "cpu_s"), ("rss", "peak_mib")):
                found[f"{name}_{unit}_ratio"] = round(measured["stock"][key] / measured[name][key], 2)
    return found


def run(contender: str, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.asof", "--run", contender, str(folder)]
    command += ["--call", options.call, "--memory-limit", options.memory_limit]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(finished.stdout.splitlines()[-1])


def table(found: dict[str, Any]) -> str:
    lines = [
        f"{found['pairs']:,} pairs, {found['companies']:,} companies, {found['company_versions']:,} versions; "
        f"{found['call']}; answers equal: {found.get('equal', 'not compared')}",
        f"{'':6} {'CPU s':>8} {'wall s':>8} {'peak MiB':>9} {'CPU ratio':>10} {'peak ratio':>11}",
    ]
    for name in CONTENDERS:
        if name in found:
            one = found[name]
            ratios = (found.get(f"{name}_cpu_ratio", ""), found.get(f"{name}_rss_ratio", ""))
            lines.append(
                f"{name:6} {one['cpu_s']:8.2f} {one['wall_s']:8.2f} {one['peak_mib']:9.0f} "
                f"{ratios[0]:>10} {ratios[1]:>11}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
