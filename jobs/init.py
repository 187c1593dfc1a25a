"""bidrec init: a configuration to begin with, and a source folder where the tables are one's own."""

from pathlib import Path
from zoneinfo import available_timezones

import click
from click.core import ParameterSource

from bidrec.config import Config
from jobs.options import command
from jobs.output import Result

DUMPS = {"koneps": "${BIDREC_KONEPS_DIR}", "gepnic": "${BIDREC_GEPNIC_DIR}", "own": "dumps"}
"""Source -> where its dumps are, if nothing is said."""


@command
@click.option(
    "--source",
    required=True,
    type=click.Choice([*DUMPS, "postgres"]),
    help="Kind of source; own and postgres: your own tables.",
)
@click.option("--path", help="Folder of the dumps (CSV or Parquet).")
@click.option("--zone", default="UTC", show_default=True, help="With own or postgres: IANA zone of the clock times.")
@click.option(
    "--to", default="bidrec.toml", show_default=True, type=click.Path(path_type=Path), help="The file to write."
)
@click.option("--force", is_flag=True, help="Replace existing files.")
def init(config: Config, source: str, path: str | None, zone: str, to: Path, force: bool) -> Result:
    """Write a commented configuration: the source filled in, every other key with its default and meaning.

    For your own tables (own: CSV or Parquet; postgres: the database in BIDREC_SOURCE_URL) it also writes a folder with
    three SELECTs to fill in.
    """
    from bidrec.config.files import template
    from bidrec.errors import CannotWrite, ConfigurationError, did_you_mean
    from bidrec.sources.own import write_own_source
    from bidrec.sources.zones import read_clocks_in
    from bidrec.sql.workspace import looking
    from bidrec.storage.whole import write_text

    _refuse_unread("path", source == "postgres", source)
    _refuse_unread("zone", source in ("koneps", "gepnic"), source)
    if zone not in available_timezones():
        near = did_you_mean(zone, available_timezones())
        raise ConfigurationError(f"{zone} is no IANA zone such as Asia/Seoul" + (f"; {near}" if near else ""))
    with looking() as connection:
        read_clocks_in(connection, zone)
    own = to.parent / "my_tables" if source in ("own", "postgres") else None
    if to.is_dir():
        raise CannotWrite(f"{to} is a folder", hint=f"name a file: --to {to / 'bidrec.toml'}")
    there = [str(place) for place in (to, own) if place and place.exists()]
    if there and not force:
        raise CannotWrite(f"{' and '.join(there)} is there already", hint="--force replaces it, --to writes elsewhere")
    given = {"name": str(own.absolute()) if own else source}
    if source != "postgres":
        given["path"] = path or DUMPS[source]
    if own:
        write_own_source(own, zone)
    write_text(to, template(given))
    written = [str(place) for place in (to, own) if place]
    text = f"wrote {' and '.join(written)}\nNext: bidrec check --config {to}"
    return Result(data={"written": written, "source": given}, text=text)


def _refuse_unread(option: str, unread: bool, source: str) -> None:
    """Raise click.UsageError (2) where an option is given that says nothing of this source."""
    context = click.get_current_context()
    if unread and context.get_parameter_source(option) == ParameterSource.COMMANDLINE:
        raise click.UsageError(f"--{option} does not go with --source {source}", context)
