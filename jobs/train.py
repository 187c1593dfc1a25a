"""bidrec train: materialise, train, evaluate."""

import sys
from datetime import datetime

import click

from bidrec.config import Config
from bidrec.reporting.prometheus import of_run
from jobs.lake_gauges import lake_gauges
from jobs.options import command, require_source
from jobs.output import Result

DAY = click.DateTime(["%Y-%m-%d"])


def _day(context: click.Context, parameter: click.Parameter, value: datetime | None) -> str | None:
    return value.date().isoformat() if value else None


@command
@click.option(
    "--train-before",
    "split__train_before",
    type=DAY,
    callback=_day,
    help="The cutoff: learn only from what was known before this day (UTC).",
)
@click.option("--test-before", "split__test_before", type=DAY, callback=_day, help="End of the test window (UTC).")
@click.option("--force", is_flag=True, help="Train even if a finished run has the same settings and data.")
@click.option("--profile", is_flag=True, help="Record where the time goes in some steps: a Chrome trace in the run.")
def train(config: Config, force: bool, profile: bool) -> Result:
    """Build the training set, train the model and evaluate it.

    Resumes an unfinished run of the same configuration and code, for two days also where the source has had news since.
    A finished one of the same data is taken as it is; --force trains again. SIGTERM or Ctrl-C saves the state and exits
    75.
    Started by torchrun (`torchrun -m jobs.train`), several processes train one model.
    """
    require_source(config)
    from bidrec import flow
    from bidrec.training.processes import other_process
    from jobs.metrics_table import metrics_table

    run = flow.train(config, force=force, profile=profile)
    metrics = run.metrics()
    text = metrics_table(metrics, run.folder)
    return Result(data=metrics, text=text, gauges=[*of_run(metrics), *lake_gauges(config)], silent=other_process())


if __name__ == "__main__":  # torchrun -m jobs.train
    from jobs.cli import main

    main(["train", *sys.argv[1:]], prog_name="bidrec")
