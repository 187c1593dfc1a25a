"""bidrec write-back: embed today's notices and companies and publish them."""

from datetime import datetime

import click

from bidrec.config import Config
from bidrec.reporting.prometheus import of_publication
from jobs.lake_gauges import lake_gauges
from jobs.options import TIME, command, require_source
from jobs.output import Result


@command
@click.option("--run", "run_id", metavar="ID", help="The run whose weights are used; default: the newest finished one.")
@click.option(
    "--as-of",
    type=TIME,
    help="Publish as of this time (without an offset: UTC); default: the newest moment in the data.",
)
def write_back(config: Config, run_id: str | None, as_of: datetime | None) -> Result:
    """Publish embeddings and recommendations from today's data with a run's weights.

    Notices and companies that appeared after training are included. Exits 78, leaving the published version as it
    was, if the model does not beat the baselines.
    """
    require_source(config)
    from bidrec import flow

    seconds = int(as_of.timestamp()) if as_of else None
    manifest = flow.publish(config, run_id, seconds)
    rows = manifest["rows"]
    facts = {name: manifest[name] for name in ("version", "run", "as_of", "written_at", "rows", "open_notices")}
    return Result(
        data=facts,
        text=f"Published {rows['notice_embedding']:,} notices and {rows['company_embedding']:,} companies as of "
        f"{manifest['as_of']}, with recommendations for {manifest['open_notices']:,} open notices.\n"
        f"{config.home_path / 'published' / 'current'} -> {manifest['version']}",
        gauges=[*of_publication(manifest), *lake_gauges(config)],
    )
