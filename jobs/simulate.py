"""bidrec simulate: an invented market in KONEPS's shape, with the truth behind it."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from bidrec.config import Config
from jobs.options import command
from jobs.output import Result

_CLOCK = click.DateTime(formats=("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"))


@command
@click.option("--notices", default=12_000, show_default=True, help="Notices to invent, re-notices included.")
@click.option("--companies", default=3_000, show_default=True, help="Companies to invent.")
@click.option("--bids", default=100_000, show_default=True, help="Bids to invent, to within a few per cent.")
@click.option("--seed", default=7, show_default=True, help="The same seed gives the same bytes.")
@click.option("--days", default=1096, show_default=True, help="Length of the data in days.")
@click.option("--end", type=_CLOCK, help="Last moment of the data, Seoul clock.  [default: 2025-06-30T18:00]")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write.")
def simulate(
    config: Config, notices: int, companies: int, bids: int, seed: int, days: int, end: datetime | None, out: Path
) -> Result:
    """Invent a market: KONEPS-shaped dumps of notices, companies and bids, and the true bid probabilities.

    The folder can be read as a source: source.name = "koneps", source.path = the folder.
    """
    from bidrec.operations import log
    from bidrec.simulator import DEFAULT_END
    from bidrec.simulator import simulate as write

    logger = log.get("simulate")

    def progress(notices_done: int, notices_wanted: int, bids_done: int) -> None:
        logger.info("simulating", done=f"{notices_done}/{notices_wanted}", bids=bids_done)

    manifest = write(
        out,
        notices=notices,
        companies=companies,
        bids=bids,
        seed=seed,
        days=days,
        end=end or DEFAULT_END,
        progress=progress,
    )
    facts = {"folder": str(out), **{key: value for key, value in manifest.items() if key != "files"}}
    return Result(data=facts, text=_text(out, manifest))


def _text(out: Path, manifest: dict[str, Any]) -> str:
    rows = manifest["rows"]
    return "\n".join(
        (
            f"{out} (seed {manifest['seed']}, {manifest['days']} days to {manifest['end']}, {manifest['zone']})",
            f"  notice   {rows['notice']:>12,} rows, {manifest['reissues']:,} re-notices, "
            f"{manifest['open_notices']:,} still open",
            f"  company  {rows['company']:>12,} rows",
            f"  bid      {rows['bid']:>12,} rows",
            "  oracle/  the true bid probabilities",
            f'Read it with: [source] name = "koneps", path = "{out}"',
        )
    )
