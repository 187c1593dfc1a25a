"""bidrec export-towers: a run's towers for other programs."""

from pathlib import Path

import click

from bidrec.config import Config
from jobs.options import command
from jobs.output import Result


@command
@click.option("--run", "run_id", metavar="ID", help="The run; default: the newest finished one.")
@click.option("--to", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write.")
def export_towers(config: Config, run_id: str | None, to: Path) -> Result:
    """Write a run's towers as torch.export programs, which need torch alone, and compare them with the trained ones."""
    from bidrec.publishing.tower_files import export_towers as write
    from bidrec.runs.found import find

    manifest = write(find(config.home_path, run_id), to.absolute())
    facts = {name: manifest[name] for name in ("run", "torch", "inputs", "largest_difference")}
    return Result(
        data={"towers": {"to": str(to.absolute()), **facts}}, text=f"{to}: notice_tower.pt2 and company_tower.pt2"
    )
