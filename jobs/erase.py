"""bidrec erase: companies and notices leave the home, and no ingest brings them back."""

from pathlib import Path
from typing import Any

import click

from bidrec.config import Config
from jobs.options import command
from jobs.output import Result


@command
@click.option("--company", "companies", multiple=True, metavar="ID", help="A company; may be given several times.")
@click.option("--notice", "notices", multiple=True, metavar="ID", help="A notice; may be given several times.")
@click.option(
    "--companies",
    "listed",
    type=click.File(encoding="utf-8"),
    help="A file with one company's id a line; - is stdin.",
)
@click.option("--take-in-again", is_flag=True, help="Erase nothing: let the next ingest take them in again.")
def erase(
    config: Config, companies: tuple[str, ...], notices: tuple[str, ...], listed: Any, take_in_again: bool
) -> Result:
    """Erase companies and notices from the home.

    Their rows leave lake, quarantine, features and what is published, everybody else's keep their times, and no later
    ingest brings them back. What is left, such as runs that learned from them, is named, with what removes it.
    """
    keys = {
        "company_id": {*companies, *(line.strip() for line in listed or () if line.strip())},
        "notice_id": {*notices},
    }
    if not any(keys.values()):
        raise click.UsageError("name a company or a notice: --company ID, --notice ID")
    if take_in_again:
        from bidrec.lake.erase import take_in_again as allow

        allow(config, keys)
        return Result(
            data={"taken_in_again": True}, text="the next bidrec ingest takes in what the source gives of them"
        )
    from bidrec.erasure import erase as erase_all

    found = erase_all(config, keys)
    return Result(data=found, text=_text(config.home_path, found))


def _text(home: Path, found: dict[str, Any]) -> str:
    rows = ", ".join(f"{number:,} of {table}" for table, number in found["rows"].items())
    lines = [f"erased: {rows}; {len(found['versions'])} published versions that had any of them"]
    left = found["left"]
    if left["runs"]:
        lines.append(f"left in runs: {', '.join(left['runs'])}")
        lines.append("  bidrec train and bidrec write-back make another one; bidrec runs prune --keep 1 deletes these")
    if left["online"]:
        lines.append(f"left online: {', '.join(left['online'])}")
        lines.append(
            "  bidrec feast teardown empties the store; bidrec write-back and bidrec feast materialize fill it"
        )
    if left["files"]:
        lines.append("left in files for you to delete:")
        lines += [f"  {home / name}" for name in left["files"]]
    return "\n".join(lines if any(left.values()) else [*lines, "nothing of them is left in the home"])
