"""Kill every job at random moments, run it again, and compare what is left with what an unbroken run leaves.

    python -m benchmarks.chaos --kills 200 [--seed 7] [--jobs train,write-back] [--json]
    python -m benchmarks.chaos --signal TERM --kills 100
    python -m benchmarks.chaos --at-writes --kills 200              killed at a write below the home, half at a rename
    python -m benchmarks.chaos --fail ENOSPC --kills 100            the n-th write and all later ones fail (EIO, EACCES)
    python -m benchmarks.chaos --full-disk --kills 100              a home with less room than the job needs

On a small invented market (chaos_market.py), each job (chaos_jobs.py) begins in the home just before it, is struck at a
moment drawn over the time it was measured to take, each job's spread evenly (with --at-writes, twice as many kills as
it has writes strike each write), and is then run to its end. `differences` lists what is not as after
an unbroken run (chaos_state.py): a box that differs, a file left over, a reader who met anything but a whole
publication (chaos_reader.py), a traceback, a wrong exit code. Seeds are printed: the same seed draws the same moments.
`--at-writes` and `--fail` need a C compiler (chaos_writes.py), `--full-disk` needs root (chaos_disk.py).
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import chaos_writes
from bidrec.config import Config
from bidrec.features.feast_import import import_feast

JOBS = (
    *("ingest", "features", "apply", "materialize", "train", "write-back", "export"),
    *("evaluate", "importance", "report", "export-towers", "backtest", "tune", "erase", "prune"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--jobs", default=",".join(JOBS), help="of " + ", ".join(JOBS))
    parser.add_argument("--signal", choices=("KILL", "TERM"), default="KILL")
    parser.add_argument("--at-writes", action="store_true", help="kill at a write or a rename instead of a moment")
    parser.add_argument("--fail", choices=("ENOSPC", "EIO", "EACCES"), help="fail writes instead of killing")
    parser.add_argument("--full-disk", action="store_true", help="leave the home less room than the job needs")
    parser.add_argument("--folder", type=Path, help="work there, and keep the market for the next time")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if (options.at_writes or options.fail) and not chaos_writes.is_loaded():
        chaos_writes.run_again_with_it()
    import_feast(Config())  # as the jobs do
    from benchmarks.chaos_trials import chaos  # after the library is there: it imports all that the jobs do

    with tempfile.TemporaryDirectory(prefix="bidrec-chaos-") as folder:
        found = chaos(options.folder or Path(folder), options)
    chaos_writes.delete_library()
    print(json.dumps(found) if options.json else _text(found))
    sys.exit(bool(found["differences"]))


def _text(found: dict[str, Any]) -> str:
    lines = [f"{found['kills']} times {found['how']}, seed {found['seed']}: {len(found['differences'])} differences"]
    lines += [
        f"  {name:12} {one['kills']:4} of a job of {one['seconds']:.1f} s: {one['differences']} differences, "
        f"exit codes {one['exit_codes']}"
        for name, one in found["jobs"].items()
    ]
    lines += [f"  {one['job']} (moment {one['moment']}): {one['what']}" for one in found["differences"]]
    return "\n".join([*lines, f"readers: {found['reads']}"])


if __name__ == "__main__":
    main()
