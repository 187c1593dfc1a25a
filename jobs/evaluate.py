"""bidrec evaluate: rank the test window again with a finished run's model and the baselines."""

import click

from bidrec.config import Config
from bidrec.reporting.prometheus import of_run
from jobs.options import command
from jobs.output import Result


@command
@click.option("--run", "run_id", metavar="ID", help="The run to evaluate; default: the newest finished one.")
def evaluate(config: Config, run_id: str | None) -> Result:
    """Evaluate a finished run on its test window beside the baselines."""
    from bidrec import flow
    from bidrec.runs.found import find
    from jobs.metrics_table import metrics_table

    run = find(config.home_path, run_id)
    metrics = flow.evaluate(config, run)
    return Result(data=metrics, text=metrics_table(metrics, run.folder), gauges=of_run(metrics))
