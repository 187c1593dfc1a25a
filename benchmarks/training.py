"""Training side by side: the floor, bidrec's pipeline, the seed's four loops, TorchRec's pipelines.

    python -m benchmarks.training [--scale 0.01] [--steps 3000] [--rounds 2] [--recall] [--device cpu] [--folder DIR]
                                  [--json]

The workload (training_world.py) is made once and kept in --folder. Each contender runs in a process of its own, on the
same model and about 256 pairs a step:

floor      one step of bidrec's over a batch that is gathered already: no loader, log, checkpoint
pipeline   `bidrec train`'s own loop, the floor measured in between, every 1,000 steps and every epoch apart
seed       the four loops of the system that bidrec replaces, around its own step (training_seed.py)
behind     bidrec's step behind the seed's loader; resident: the seed's step without one
torchrec   TrainPipelineBase and TrainPipelineSparseDist (training_torchrec.py)

static     the seed's own recipe, random pairs and Adam, over the rows of the tables that a batch reads
fast       whole notices besides, and a loss that corrects for how often a company is drawn
streamed   static in a control group of 2 GB, the set streamed from disk; needs the right to make control groups
bfloat16   on a GPU: fast, the layers in bfloat16
recall     with --recall, each way to train is run for 24 epochs with five seeds: how what it learns ranks, and what
           that took

The default model (history through the notice tower) has its own floor and pipeline, at its own batch of 512 notices.
busy: the share of the time in which a step runs and does not wait for its batch; of a GPU, in which it computes.
undisturbed: of the steps in which the host took no time from this machine, where it is a virtual one (steal).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import cgroup
from benchmarks.training_recipes import FAST, HALF, RANKED, SEEDS, STATIC
from benchmarks.training_world import written
from bidrec.training.machine import choose_device

Python = Callable[..., subprocess.CompletedProcess[str]]
BATCH = 256
GROUP = 2_000_000_000
STREAMED = STATIC | {"stream_notices": 100_000}
"""Notices that are shuffled together where the set is larger than memory."""
SIZES = {"cpu": (1_024, 4_096), "cuda": (4_096, 32_768)}
ANYWHERE = {"static": STATIC, "fast": FAST}
RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "cpu": ANYWHERE,
    "cuda": ANYWHERE | {"bfloat16": HALF},
}
LEAST_STEPS = {"cpu": 20, "cuda": 3_000}
"""Of a larger batch: a GPU's step takes a few milliseconds."""
LONGEST = {"cpu": 3_600, "cuda": 240}
"""Seconds after which a contender is given up: some hang, and a GPU is lent by the minute."""
SEED = ("collate", "async", "overlap", "tuned")
REMARKS = {
    "seed:collate": "DataLoader, a dict a row, no workers",
    "seed:async": "a preprocessing thread ahead of the step",
    "seed:overlap": "loader manager and processor pool",
    "seed:tuned": "DataLoader, a worker a core, prefetch 4",
    "resident": "the seed's step over one batch, no loader",
    "behind:collate": "bidrec's step behind the seed's first loader",
    "behind:tuned": "bidrec's step behind the seed's best loader",
    "torchrec:base": "TrainPipelineBase, columnar batches, dense Adam",
    "torchrec:sparse_dist": "TrainPipelineSparseDist, one process; tables by fused SGD",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=0.01, help="1: 2 M notices, 300 k companies, 20 M pairs")
    parser.add_argument("--steps", type=int, default=3_000, help="of the pipeline; the default model takes a tenth")
    parser.add_argument("--rounds", type=int, default=2, help="how often the contenders take turns")
    parser.add_argument("--seconds", type=float, default=8, help="of a seed's or TorchRec's loop in a round")
    parser.add_argument("--sizes", type=int, nargs="*", help="of bidrec's batches, tried besides 256")
    parser.add_argument(
        "--device", default="auto", choices=("auto", "cpu", "cuda"), help="auto: a GPU, if there is one"
    )
    parser.add_argument(
        "--threads", type=int, default=0, help="of every contender's arithmetic, at most (0: torch's choice)"
    )
    parser.add_argument("--recall", action="store_true", help="also train to the end, each way, and say how it ranks")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "bidrec-training-world")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.device = choose_device(options.device).type
    if options.sizes is None:
        options.sizes = SIZES[options.device]
    if options.threads:
        os.environ["OMP_NUM_THREADS"] = str(options.threads)
    found = compare(written(options.folder, options.scale), options)
    print(json.dumps(found) if options.json else table(found))


def compare(world: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All contenders in turn, `rounds` times; of each, the round in which it was fastest."""
    device = {"device": options.device}
    bound = {"seconds": options.seconds, "most": options.steps, "batch": BATCH} | device
    # Ours first: where the time is cut off, or another's hangs until it is given up, they are measured.
    rows = {"pipeline:history": tried("pipeline:history", world, {"steps": max(20, options.steps // 10)} | device)}
    for _ in range(options.rounds):
        for (kind, given), size in product(RECIPES[options.device].items(), (BATCH, *options.sizes)):
            least = min(options.steps, LEAST_STEPS[options.device])
            steps = options.steps if size == BATCH else max(least, options.steps * BATCH // size // 2)
            settings = {"steps": steps, "recipe": given | {"batch_size": size}, **device}
            keep_best(rows, row_of(kind, size), tried("pipeline:static", world, settings))
        for name in REMARKS:
            keep_best(rows, name, tried(name, world, bound))
    found = {"scale": options.scale, "rows": rows, **device} | ratios(rows, RECIPES[options.device], options.sizes)
    with suppress(RuntimeError):  # told by then
        found |= starts(world, device)  # before the set is read from the disk again
    rows["pipeline:streamed"] = streamed(world, {"steps": options.steps} | device)
    found |= streamed_ratios(rows["pipeline:streamed"])
    return found | (ranked(world, device) if options.recall else {})


def row_of(kind: str, size: int) -> str:
    return f"pipeline:{kind}" + (f":{size}" if size != BATCH else "")


def ranked(world: Path, device: dict[str, str]) -> dict[str, Any]:
    """Of each way to train the best validation Recall@100 and the CPU time, means over SEEDS, and each one's recall."""
    found: dict[str, Any] = {}
    for way, recipe in RANKED.items():
        rows = [run("quality", world, {"recipe": recipe | {"seed": seed}, **device}) for seed in SEEDS]
        found |= {f"{way}_{name}": round(fmean(row[name] for row in rows), 4) for name in ("best_recall", "cpu_s")}
        found[f"{way}_best_recalls"] = [round(row["best_recall"], 4) for row in rows]
    return found


def streamed(world: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The pipeline in a control group of GROUP bytes, the set read from the disk."""
    if reason := cgroup.missing():
        return {"remark": f"not measured: {reason}"}
    forget(world)
    with cgroup.limited(GROUP) as group:  # for which a GPU's driver alone may be too large
        return tried("pipeline:static", world, settings | {"recipe": STREAMED}, group.run)


def forget(world: Path) -> None:
    """Have the system drop what it keeps of the set's files, so that whoever reads them next pays for them."""
    for file in world.rglob("*.npy"):
        with file.open("rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def python(*arguments: str, longest: float | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=longest)


def run(name: str, world: Path, settings: dict[str, Any], python: Python = python) -> dict[str, Any]:
    arguments = ("benchmarks.training_contenders", name, str(world), json.dumps(settings))
    found: dict[str, Any] = said(python("-W", "ignore", "-m", *arguments))
    return found


def tried(name: str, world: Path, settings: dict[str, Any], python: Python = python) -> dict[str, Any]:
    """`run`, or what ended it: the other contenders are compared all the same."""
    try:
        return run(name, world, settings, partial(python, longest=LONGEST[settings["device"]]))
    except subprocess.TimeoutExpired as late:
        return {"remark": f"failed: given up after {late.timeout:g} s"}
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return {"remark": f"failed: {str(error).splitlines()[-1][:90]}"}


def said(finished: subprocess.CompletedProcess[str]) -> Any:
    """Its last line, which is JSON and also goes to the log."""
    if finished.returncode:
        raise RuntimeError(f"{' '.join(finished.args)}: {finished.stderr[-2000:]}")
    print(*finished.args[4:], finished.stdout.splitlines()[-1], file=sys.stderr)
    return json.loads(finished.stdout.splitlines()[-1])


def keep_best(rows: dict[str, dict[str, Any]], name: str, found: dict[str, Any]) -> None:
    if name not in rows or found.get("it_s", 0) > rows[name].get("it_s", 0):
        rows[name] = found


def ratios(rows: dict[str, dict[str, Any]], kinds: Iterable[str], tried: Iterable[int]) -> dict[str, Any]:
    """Between those that ran."""
    ran = {name: row for name, row in rows.items() if "it_s" in row}
    seeds = [ran[f"seed:{loop}"] for loop in SEED if f"seed:{loop}" in ran]
    found: dict[str, Any] = {}
    if "pipeline:history" in ran:
        found["default_pipeline_over_floor"] = ran["pipeline:history"]["over_floor"]
    for kind in kinds:
        sizes = {size: ran[row_of(kind, size)]["pairs_s"] for size in (BATCH, *tried) if row_of(kind, size) in ran}
        if BATCH in sizes:
            of_kind = _ratios_of(ran[row_of(kind, BATCH)], sizes, seeds)
            if "seed:collate" in ran:
                of_kind["over_seed_collate_cpu"] = ran["seed:collate"]["cpu_ms"] / ran[row_of(kind, BATCH)]["cpu_ms"]
            prefix = "" if kind == "static" else f"{kind}_"
            found |= {f"{prefix}{name}": value for name, value in of_kind.items()}
    return found


def _ratios_of(ours: dict[str, Any], sizes: dict[int, float], seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """Of our row at the seed's size, and of the pairs a second at each size."""
    best = max(sizes, key=sizes.__getitem__)
    found = {
        "pipeline_over_floor": ours["over_floor"],
        "pipeline_over_floor_least_chunk": min(ours["chunks_over_floor"]),
        "pipeline_over_floor_cpu": ours["cpu_over_floor"],
        "p99_over_median": ours["p99_over_median"],
        "max_over_median": ours["max_over_median"],
        "undisturbed_max_over_median": ours["undisturbed_max_over_median"],
        "best_batch_size": best,
    }
    if seeds:
        seed = max(seeds, key=lambda row: row["it_s"])
        found["over_best_seed_loop"] = ours["it_s"] / seed["it_s"]
        found["pairs_over_best_seed_loop"] = sizes[best] / seed["pairs_s"]
    return found


def streamed_ratios(row: dict[str, Any]) -> dict[str, Any]:
    names = ("over_floor", "max_over_median", "undisturbed_max_over_median")
    return {f"streamed_{name}": row[name] for name in names if name in row}


def starts(world: Path, device: dict[str, str]) -> dict[str, Any]:
    """`imports_s`: of a process that imports what the training does and no more, which no start can be quicker than."""
    importing = "import jobs, bidrec.training.loop, time; print(time.time())"
    began = time.time()
    found = {"imports_s": said(python("-W", "ignore", "-c", importing)) - began}
    settings = json.dumps({"began": time.time()} | device)
    found |= said(python("-W", "ignore", "-m", "benchmarks.training_start", str(world), settings))
    return {name: round(value, 2) for name, value in found.items()}


def table(found: dict[str, Any]) -> str:
    lines = [f"{'implementation':22} {'it/s':>7} {'pairs/s':>9} {'busy':>5} {'peak MiB':>8}  remark"]
    computes = found["device"] == "cpu"  # the host, which knows when it waits; of a GPU nvidia-smi alone does
    for name, row in found["rows"].items():
        if "over_floor" in row:
            floor = {
                "it_s": row["floor_it_s"],
                "pairs_s": row["pairs_s"] / row["it_s"] * row["floor_it_s"],
                "busy": 1.0 if computes else None,
            }
            lines.append(_line(name.replace("pipeline", "floor"), row | floor, ""))
            busy = row.get("gpu_busy", min(1.0, row["over_floor"]) if computes else None)
            remark = f"{row['over_floor']:.3f} of the floor, p99 {row['p99_over_median']:.2f} x the median"
            lines.append(_line(name, row | {"busy": busy}, remark))
        else:
            busy = row.get("gpu_busy", row.get("busy") if computes else None)
            lines.append(_line(name, row | {"busy": busy}, row.get("remark", REMARKS.get(name, ""))))
    rest = (f"{name}: {value:.3g}" for name, value in found.items() if isinstance(value, int | float))
    return "\n".join([*lines, ", ".join(rest)])


def _line(name: str, row: dict[str, Any], remark: str) -> str:
    if "it_s" not in row:
        return f"{name:22} {'-':>7} {'-':>9} {'-':>5} {'-':>8}  {remark}"
    busy = "-" if row["busy"] is None else f"{row['busy']:.0%}"
    return f"{name:22} {row['it_s']:7.1f} {row['pairs_s']:9,.0f} {busy:>5} {row['peak_mib']:8,}  {remark}"


if __name__ == "__main__":
    main()
