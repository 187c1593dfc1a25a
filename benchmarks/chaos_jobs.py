"""The jobs that are struck: bidrec's commands, as its console script runs them.

Imported before the first one is forked, so that a job begins at once: a strike hits the job and not its imports.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import click

import bidrec
import jobs
from bidrec.config import Config
from bidrec.features.build import build_features
from jobs.cli import main as bidrec_command
from jobs.options import command
from jobs.output import Result

EXPORTED, TOWERS = "home/lists.parquet", "home/towers"
"""In the market's folder, where the jobs run: what the exports write."""
ERASED = "erased.txt"
"""There too: the companies that are erased."""
EXPORT = ["--direction", "notice", "--format", "parquet", "--to", EXPORTED]
CUTOFF = str(date.today() - timedelta(days=70))
"""Of the backtest; the market ends today."""


@command
def build(config: Config) -> Result:
    """The feature tables alone: the step that `bidrec train` and `write-back` begin with."""
    return Result(data=build_features(config))


@dataclass(frozen=True)
class Job:
    name: str
    before: str
    """The snapshot (chaos_market.py) in which it begins."""
    program: click.Command
    arguments: Sequence[str]

    def run(self) -> int:
        """Run it in this process; returns its exit code."""
        try:
            self.program.main(args=list(self.arguments), prog_name=self.name, standalone_mode=True)
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
        return 0


JOBS = {
    job.name: job
    for job in (
        Job("ingest", "published", bidrec_command, ["ingest", "--json"]),
        Job("features", "ingested", build, ["--json"]),
        Job("apply", "unapplied", bidrec_command, ["feast", "apply"]),
        Job("materialize", "built", bidrec_command, ["feast", "materialize", "--disable-event-timestamp"]),
        Job("train", "built", bidrec_command, ["train", "--json"]),
        Job("write-back", "built", bidrec_command, ["write-back", "--json"]),
        Job("export", "built", bidrec_command, ["recommend", "--all", *EXPORT]),
        Job("evaluate", "built", bidrec_command, ["evaluate", "--json"]),
        Job("importance", "built", bidrec_command, ["features", "--importance", "--json"]),
        Job("report", "built", bidrec_command, ["report", "--json"]),
        Job("export-towers", "built", bidrec_command, ["export-towers", "--to", TOWERS]),
        Job("backtest", "built", bidrec_command, ["backtest", "--cutoffs", CUTOFF, "--json"]),
        Job("tune", "built", bidrec_command, ["tune", "--trials", "1", "--json"]),
        Job("erase", "built", bidrec_command, ["erase", "--companies", ERASED, "--json"]),
        Job("prune", "crowded", bidrec_command, ["runs", "prune", "--keep", "0", "--json"]),
    )
}


def import_everything() -> None:
    """Import every module of bidrec and its commands, and what they import when they are called."""
    for package in (bidrec, jobs):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
