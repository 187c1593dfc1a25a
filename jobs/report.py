"""bidrec report: the page of a run, made anew."""

import click

from bidrec.config import Config
from jobs.options import command
from jobs.output import Result


@command
@click.argument("run_id", metavar="[RUN]", required=False)
def report(config: Config, run_id: str | None) -> Result:
    """Write the report and the model card of a run; without RUN, of the newest finished one.

    runs/ID/report.html is one file that needs no network: warnings first, then what data went in, how good the model is
    and where, and twenty example notices. bidrec train writes it too; write it again to see the run beside later ones.
    """
    from bidrec.reporting.describe import describe_run
    from bidrec.runs.found import find

    run = find(config.home_path, run_id)
    written = describe_run(config, run)
    text = f"Model card: {written['model_card']}\nReport: {written['report'].as_uri()}"
    return Result(data={"run": run.id, **written}, text=text)
