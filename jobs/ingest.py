"""bidrec ingest: a source's tables, held against the contract, become the lake."""

from typing import Any

import click

from bidrec.config import Config
from jobs.lake_gauges import lake_gauges
from jobs.options import command, require_source
from jobs.output import Result


@command
@click.option("--force", is_flag=True, help="Begin the lake anew from the tables as they are.")
def ingest(config: Config, force: bool) -> Result:
    """Read the source's tables, check them, and add what is new or changed to the lake."""
    require_source(config)
    from bidrec.lake.ingest import ingest as write_lake

    manifest = write_lake(config, force=force)
    return Result(data=manifest, text=_text(config, manifest), gauges=lake_gauges(config))


def _text(config: Config, manifest: dict[str, Any]) -> str:
    lines = [f"{config.home_path / 'lake'} (source {manifest['source']}, clock times of {manifest['zone']})"]
    for name, table in manifest["tables"].items():
        first, last = table["range"].get("published_at") or table["range"]["known_at"]
        lines.append(f"  {name:<8} {table['rows']:>10,} rows, {first[:10]} to {last[:10]}{_came(manifest, name)}")
        lines += [f"  {'':<8} {number:>10,} quarantined: {reason}" for reason, number in table["reasons"].items()]
        lines += [f"  {'':<8} note: {warning.partition(': ')[2]}" for warning in table["warnings"]]
    return "\n".join(lines)


def _came(manifest: dict[str, Any], name: str) -> str:
    """Of what kind the rows of the newest part are, where it is not the first."""
    if len(manifest["ingests"]) == 1:
        return ""
    newest = manifest["ingests"][-1]
    kinds = [f"{number:,} {kind}" for kind, number in newest["came"][name].items() if number and kind != "rows"]
    return f"; at {newest['read_at'][:16]}: {', '.join(kinds) or 'none'}"
