"""Kill every job at random moments, run it again, and compare what is left with what an unbroken run leaves.

    python -m benchmarks.chaos --kills 200 [--seed 7] [--jobs train,write-back] [--json]
    python -m benchmarks.chaos --signal TERM --kills 100
    python -m benchmarks.chaos --at-writes --kills 200              killed at the n-th write below the home
    python -m benchmarks.chaos --fail ENOSPC --kills 100            the n-th write and all later ones fail (EIO, EACCES)

On a small invented market (chaos_market.py), each job (chaos_jobs.py) begins in the home just before it, is struck at a
moment drawn over the time it was measured to take, and is then run to its end. `differences` lists what is not as after
an unbroken run (chaos_state.py): a box that differs, a file left over, a reader who met anything but a whole
publication (chaos_reader.py), a traceback, a wrong exit code. Seeds are printed: the same seed draws the same moments.
The last two ways need a C compiler (chaos_writes.py).
"""

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks import chaos_writes
from benchmarks.chaos_jobs import JOBS, Job, company_named
from benchmarks.chaos_market import Market, prepare
from benchmarks.chaos_process import Outcome, run_job
from benchmarks.chaos_reader import Reader
from benchmarks.chaos_state import differences, state_of
from benchmarks.chaos_writes import Strike

DONE, CANNOT_WRITE, INTERRUPTED = 0, 73, 75
EARLIEST = 0.05
"""Seconds after its start before which no job is struck: it is not yet our code that runs."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--jobs", default=",".join(JOBS), help="of " + ", ".join(JOBS))
    parser.add_argument("--signal", choices=("KILL", "TERM"), default="KILL")
    parser.add_argument("--at-writes", action="store_true", help="kill at the n-th write instead of a moment")
    parser.add_argument("--fail", choices=("ENOSPC", "EIO", "EACCES"), help="fail writes instead of killing")
    parser.add_argument("--folder", type=Path, help="work there, and keep the market for the next time")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if (options.at_writes or options.fail) and not chaos_writes.is_loaded():
        chaos_writes.run_again_with_it()
    with tempfile.TemporaryDirectory(prefix="bidrec-chaos-") as folder:
        found = chaos(options.folder or Path(folder), options)
    print(json.dumps(found) if options.json else _text(found))
    sys.exit(bool(found["differences"]))


def chaos(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Strike `options.kills` times, the jobs in turn; returns what is printed."""
    market = prepare(folder)
    jobs = [company_named(JOBS[name], market.company) for name in options.jobs.split(",")]
    unbroken = {job.name: _unbroken(market, job) for job in jobs}
    draw = random.Random(options.seed)
    counts: Counter[str] = Counter()
    found: list[dict[str, Any]] = []
    exits: dict[str, Counter[int]] = {job.name: Counter() for job in jobs}
    reads: Counter[str] = Counter()
    missed = 0
    while sum(counts.values()) < options.kills:
        job = jobs[sum(counts.values()) % len(jobs)]
        moment = draw.random()
        trial = _Trial(market, job, unbroken[job.name], options)
        struck = trial.run(moment)
        if struck is None:  # it had ended before
            missed += 1
            continue
        counts[job.name] += 1
        exits[job.name][struck.code] += 1
        reads.update(trial.reads)
        found += [
            {"job": job.name, "strike": sum(counts.values()), "moment": round(moment, 4), "what": what}
            for what in trial.wrong
        ]
        if not options.json or trial.wrong:
            print(f"{sum(counts.values()):4} {job.name:12} {moment:.3f} {struck} {trial.wrong}", file=sys.stderr)
    return {
        "kills": sum(counts.values()),
        "differences": found,
        "seed": options.seed,
        "how": options.fail or ("KILL at a write" if options.at_writes else options.signal),
        "jobs": {
            job.name: {
                "kills": counts[job.name],
                "differences": sum(one["job"] == job.name for one in found),
                "seconds": round(unbroken[job.name].seconds, 2),
                "writes": unbroken[job.name].writes,
                "exit_codes": dict(exits[job.name]),
            }
            for job in jobs
        },
        "reads": dict(reads),
        "ended_before_the_strike": missed,
        "not_compared": "run ids, times of writing, and how many older versions lie in published/",
    }


class _Unbroken:
    """What a job does when nothing happens to it: its final state, its time, its writes, its output."""

    def __init__(self, outcome: Outcome, state: dict[str, Any]) -> None:
        self.seconds, self.writes, self.stdout = outcome.seconds, outcome.writes, outcome.stdout
        self.state = state


def _unbroken(market: Market, job: Job) -> _Unbroken:
    market.go_back_to(job.before)
    outcome = run_job(job, market, strike=Strike.none())
    if outcome.code != DONE:
        raise SystemExit(f"{job.name} does not run here: exit {outcome.code}\n{outcome.stderr[-3000:]}")
    return _Unbroken(outcome, state_of(market))


class _Trial:
    """One strike, the run after it, and what was wrong."""

    def __init__(self, market: Market, job: Job, unbroken: _Unbroken, options: argparse.Namespace) -> None:
        self.market, self.job, self.unbroken, self.options = market, job, unbroken, options
        self.wrong: list[str] = []
        self.reads: Counter[str] = Counter()

    def run(self, moment: float) -> Outcome | None:
        """moment: in [0, 1), of the job's time or of its writes. None where the job ended before it."""
        self.market.go_back_to(self.job.before)
        with Reader(self.market) as reader:
            struck = run_job(self.job, self.market, strike=self._strike(moment))
            if not struck.was_struck:
                reader.dismiss()
                return None
            self._judge(struck)
            again = run_job(self.job, self.market, strike=Strike.none())
        self.reads, violations = reader.seen, reader.violations
        self.wrong += violations
        if again.code != DONE:
            self.wrong.append(f"run again, it exits {again.code}: {again.stderr[-600:]}")
        elif self.job.output_is_the_result and again.stdout != self.unbroken.stdout:
            self.wrong.append("another output")
        self.wrong += differences(self.unbroken.state, state_of(self.market))
        return struck

    def _strike(self, moment: float) -> Strike:
        if self.options.fail:
            return Strike.failing(self.options.fail, 1 + int(moment * self.unbroken.writes[self.options.fail]))
        if self.options.at_writes:
            return Strike.killing(1 + int(moment * self.unbroken.writes["KILL"]))
        after = EARLIEST + moment * max(0.0, self.unbroken.seconds - EARLIEST)
        return Strike.signalling(self.options.signal, after)

    def _judge(self, struck: Outcome) -> None:
        """Whether the struck job ended as it should: silently killed, or with one clear line and its exit code."""
        if self.options.fail:
            expected = (CANNOT_WRITE, DONE)  # DONE: what failed was of no consequence, and the state says so
        elif self.options.signal == "TERM":
            expected = (INTERRUPTED, DONE)
        else:
            return
        if struck.code not in expected:
            self.wrong.append(f"exit {struck.code}: {struck.stderr[-600:]}")
        if "Traceback" in struck.stderr:
            self.wrong.append(f"a traceback: {struck.stderr[-600:]}")
        if struck.code == CANNOT_WRITE and str(self.market.home) not in struck.stderr:
            self.wrong.append(f"does not say where: {struck.stderr[-300:]}")


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
