"""The trials of `benchmarks/chaos.py`: strike a job, run it again, judge what is left.

Reads   the snapshots of the market (chaos_market.py)
Returns what is printed: kills, differences, and of each job its time, its writes and its exit codes
"""

import argparse
import random
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.chaos_disk import Disk
from benchmarks.chaos_jobs import JOBS, Job
from benchmarks.chaos_market import Market, prepare
from benchmarks.chaos_process import Outcome, run_job
from benchmarks.chaos_reader import Reader
from benchmarks.chaos_state import differences, state_of
from benchmarks.chaos_writes import Strike

DONE, CANNOT_WRITE, INTERRUPTED = 0, 73, 75
EARLIEST = 0.05
"""Seconds after its start before which no job is struck: it is not yet our code that runs."""


def chaos(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Strike `options.kills` times, the jobs in turn, each at moments spread evenly; returns what is printed."""
    market = prepare(folder)
    if not options.full_disk:
        return _chaos(market, None, options)
    with Disk(market.home) as disk:
        return _chaos(market, disk, options)


def _chaos(market: Market, disk: Disk | None, options: argparse.Namespace) -> dict[str, Any]:
    jobs = [JOBS[name] for name in options.jobs.split(",")]
    unbroken = {job.name: _unbroken(market, job, disk) for job in jobs}
    draw = random.Random(options.seed)
    counts: Counter[str] = Counter()
    found: list[dict[str, Any]] = []
    exits: dict[str, Counter[int]] = {job.name: Counter() for job in jobs}
    reads: Counter[str] = Counter()
    missed = 0
    each = -(-options.kills // len(jobs))
    places = {job.name: draw.sample(range(each), each) for job in jobs}
    while sum(counts.values()) < options.kills:
        job = jobs[sum(counts.values()) % len(jobs)]
        if not places[job.name]:  # it had ended before
            places[job.name] = [draw.randrange(each)]
        moment = (places[job.name].pop() + draw.random()) / each
        trial = _Trial(market, job, unbroken[job.name], disk, options)
        struck = trial.run(moment)
        if struck is None:
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
        "how": _how(options),
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


def _how(options: argparse.Namespace) -> str:
    if options.full_disk:
        return "a full disk"
    return options.fail or ("KILL at a write" if options.at_writes else options.signal)


@dataclass(frozen=True)
class _Unbroken:
    """What a job does when nothing happens to it."""

    seconds: float
    writes: dict[str, int]
    grown: int
    """Bytes by which the home is larger afterwards, where it is a disk of its own: the job needs no less."""
    state: dict[str, Any]


def _unbroken(market: Market, job: Job, disk: Disk | None) -> _Unbroken:
    market.go_back_to(job.before)
    before = disk.used() if disk else 0
    outcome = run_job(job, market, strike=Strike.none())
    if outcome.code != DONE:
        raise SystemExit(f"{job.name} does not run here: exit {outcome.code}\n{outcome.stderr[-3000:]}")
    grown = disk.used() - before if disk else 0
    return _Unbroken(outcome.seconds, outcome.writes, max(0, grown), state_of(market))


class _Trial:
    """One strike, the run after it, and what was wrong."""

    def __init__(
        self, market: Market, job: Job, unbroken: _Unbroken, disk: Disk | None, options: argparse.Namespace
    ) -> None:
        self.market, self.job, self.unbroken, self.disk, self.options = market, job, unbroken, disk, options
        self.wrong: list[str] = []
        self.reads: Counter[str] = Counter()

    def run(self, moment: float) -> Outcome | None:
        """moment: in [0, 1), of the job's time, its writes or its room. None where the job ended before it."""
        self.market.go_back_to(self.job.before)
        with Reader(self.market) as reader:
            if self.disk:
                self.disk.leave(int(moment * self.unbroken.grown))
            struck = run_job(self.job, self.market, strike=self._strike(moment))
            if self.disk:
                self.disk.empty()
            if not (struck.was_struck or (self.disk and struck.code != DONE)):
                reader.dismiss()
                return None
            self._judge(struck)
            again = run_job(self.job, self.market, strike=Strike.none())
        self.reads, violations = reader.seen, reader.violations
        self.wrong += violations
        if again.code != DONE:
            self.wrong.append(f"run again, it exits {again.code}: {again.stderr[-600:]}")
        self.wrong += differences(self.unbroken.state, state_of(self.market))
        return struck

    def _strike(self, moment: float) -> Strike:
        if self.disk:
            return Strike.none()
        if self.options.fail:
            return self._at(self.options.fail, moment)
        if self.options.at_writes:
            # A rename is what changes what a home is: one write in twenty, and half of the kills.
            return self._at("KILL", 2 * moment) if moment < 0.5 else self._at("KILL AT A NAME", 2 * moment - 1)
        after = EARLIEST + moment * max(0.0, self.unbroken.seconds - EARLIEST)
        return Strike.signalling(self.options.signal, after)

    def _at(self, kind: str, share: float) -> Strike:
        return Strike.at(kind, 1 + int(share * self.unbroken.writes[kind]))

    def _judge(self, struck: Outcome) -> None:
        """Whether the struck job ended as it should: silently killed, or with one clear line and its exit code."""
        if self.options.fail or self.disk:
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
        if struck.code == CANNOT_WRITE and self.disk and " MB are free there" not in struck.stderr:
            self.wrong.append(f"does not say how much room there is: {struck.stderr[-300:]}")
