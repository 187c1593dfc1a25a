"""What a large embedding table takes of each process, copied or sharded, and what a step over it costs.

    python -m benchmarks.sharding [--rows 4_000_000] [--dim 64] [--tables 1] [--bags 4096] [--json]

Starts torchrun with two processes, one thread each, once for either way. Of each process: MB that its rows and row-wise
Adagrad's sums take, MB by which it is larger than before the tables were there (resident), the same at its peak, when
each process still has the whole table, and milliseconds (median) of a step: lookup of bags of ten ids, skewed as ids
are, backward pass and update. Half of the bags are each process's.
"""

import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import torch
from torch import nn
from torch.distributed import all_gather_object

from benchmarks.process import status_kib
from bidrec.config import Training
from bidrec.model.tables import Table
from bidrec.training import distributed, processes
from bidrec.training.optimiser import Optimiser
from bidrec.training.sharding import shard_tables

IDS, STEPS, WARM_UP = 10, 20, 3
CPU = torch.device("cpu")
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--tables", type=int, default=1, help="two of one size: a whole one in each process")
    parser.add_argument("--bags", type=int, default=4096)
    parser.add_argument("--above-mb", type=float, help="measure in this process, which torchrun started")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.above_mb is not None:
        measure(options)
        return
    found = [row for way, above in (("copied", 0), ("sharded", 1)) for row in started(way, above, options)]
    print(json.dumps(found) if options.json else table(found))


def started(way: str, above_mb: float, options: argparse.Namespace) -> list[Row]:
    """What two processes found."""
    command = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "benchmarks.sharding", f"--above-mb={above_mb}"]
    command += [f"--{name}={getattr(options, name)}" for name in ("rows", "dim", "tables", "bags")]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise SystemExit(f"{way} ended with {done.returncode}")
    return [{"tables": way, **row} for row in json.loads(done.stdout.splitlines()[-1])]


def measure(options: argparse.Namespace) -> None:
    with processes.joined("cpu"):
        before = _status("VmRSS")
        model = nn.ModuleList([Table(options.rows, options.dim, 0.1) for _ in range(options.tables)])
        shard_tables(model, options.above_mb, CPU)
        tables = [table for table in model if isinstance(table, Table)]
        settings = Training(table_optimiser="rowwise_adagrad")
        optimiser = Optimiser([nn.Parameter(torch.zeros(1))], tables, settings)
        torch.manual_seed(processes.rank())  # the tables begin alike, but two processes look up other ids
        milliseconds = statistics.median(_step(tables, options) for _ in range(WARM_UP + STEPS))
        held = sum(table.weight.nbytes + optimiser.state[table.weight]["sum"].nbytes for table in tables)
        ctypes.CDLL(None).malloc_trim(0)
        own: Row = {
            "process": processes.rank(),
            "rows": sum(len(table.weight) for table in tables),
            "held_mb": round(held / 1e6),
            "resident_mb": round(_status("VmRSS") - before),
            "peak_mb": round(_status("VmHWM") - before),
            "step_ms": round(milliseconds, 1),
        }
        every = [own] * processes.size()
        all_gather_object(every, own)
        if processes.is_first():
            print(json.dumps(every))


def _step(tables: list[Table], options: argparse.Namespace) -> float:
    """Milliseconds of one."""
    bags = distributed.sizes(options.bags)[processes.rank()]
    ids = (torch.rand(bags * IDS) ** 3 * options.rows).long()
    offsets = torch.arange(bags + 1) * IDS
    begun = time.perf_counter()
    for table in tables:
        table(ids, offsets).sum().backward()
    return (time.perf_counter() - begun) * 1e3


def _status(name: str) -> float:
    """MB."""
    return status_kib(name) * 1024 / 1e6


def table(rows: list[Row]) -> str:
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join("".join(f"{value!s:>12}" for value in line) for line in lines)


if __name__ == "__main__":
    main()
