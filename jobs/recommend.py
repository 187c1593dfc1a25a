"""bidrec recommend: companies for a notice or open notices for a company, or near a vector, from what was published."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import click

from bidrec.config import Config
from jobs.options import TIME, command
from jobs.output import Result

VECTOR = click.File("r", encoding="utf-8")


@command
@click.option("--notice", "notice_id", metavar="ID", help="Rank the companies for this notice.")
@click.option("--company", "company_id", metavar="ID", help="Rank the open notices for this company.")
@click.option("--companies-near", "near_companies", type=VECTOR, help="Rank the companies by cosine with this vector.")
@click.option("--notices-near", "near_notices", type=VECTOR, help="Rank the open notices by cosine with this vector.")
@click.option("--all", "everything", is_flag=True, help="Export all published lists, to a file or a table.")
@click.option(
    "--top", type=click.IntRange(min=1), help="Length of the lists; default: 10, with --all as many as were published."
)
@click.option(
    "--as-of",
    type=TIME,
    help="With --company or --notices-near: only notices open at this time (without an offset: UTC).",
)
@click.option(
    "--direction", type=click.Choice(["notice", "company"]), help="With --all: the lists of notices or of companies."
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["parquet", "csv", "postgres"]),
    help="With --all: format of the export.",
)
@click.option("--to", metavar="PATH|TABLE", help="With --all: the file, or the table in BIDREC_EXPORT_URL's database.")
def recommend(
    config: Config,
    notice_id: str | None,
    company_id: str | None,
    near_companies: TextIO | None,
    near_notices: TextIO | None,
    everything: bool,
    top: int | None,
    as_of: datetime | None,
    **export: str | None,
) -> Result:
    """Recommend companies for a notice, or open notices for a company; or export all that was published.

    A vector is a file with a JSON list of numbers, as long as the published vectors; - reads it from stdin.
    An export is written whole or not at all. It replaces an existing file, or a table that bidrec has made.
    """
    asked = (notice_id, company_id, near_companies, near_notices, True if everything else None)
    if sum(given is not None for given in asked) != 1:
        raise click.UsageError(
            "give one of --notice ID, --company ID, --companies-near FILE, --notices-near FILE, --all"
        )
    if everything:
        return _export(config, top, as_of, **export)
    if any(given is not None for given in export.values()):
        raise click.UsageError("--direction, --format and --to go with --all")
    if as_of is not None and company_id is None and near_notices is None:
        raise click.UsageError("--as-of says which notices are open: it goes with --company and --notices-near")
    if notice_id is not None or near_companies is not None:
        return _companies(config, notice_id, near_companies, top or 10)
    return _notices(config, company_id, near_notices, top or 10, as_of)


def _companies(config: Config, notice_id: str | None, near: TextIO | None, k: int) -> Result:
    from bidrec.publishing.recommend import Published
    from jobs.list_tables import companies_table

    published = Published(config.home_path)
    if notice_id is None:
        companies = published.companies_near(_vector(near), k)
        return Result(
            data={"companies": companies}, text=companies_table(None, companies, published.as_of, published.zone)
        )
    notice, companies = published.companies_for(notice_id, k)
    text = companies_table(notice, companies, published.as_of, published.zone)
    return Result(data={"notice": notice, "companies": companies}, text=text)


def _notices(config: Config, company_id: str | None, near: TextIO | None, k: int, as_of: datetime | None) -> Result:
    from bidrec.publishing.recommend import Published
    from jobs.list_tables import notices_table

    published = Published(config.home_path)
    if company_id is None:
        notices = published.notices_near(_vector(near), k, as_of)
        return Result(data={"notices": notices}, text=notices_table(None, notices, published.as_of, published.zone))
    company, notices = published.notices_for(company_id, k, as_of)
    text = notices_table(company, notices, published.as_of, published.zone)
    return Result(data={"company": company, "notices": notices}, text=text)


def _export(
    config: Config,
    top: int | None,
    as_of: datetime | None,
    direction: str | None,
    file_format: str | None,
    to: str | None,
) -> Result:
    if as_of is not None or direction is None or file_format is None or to is None:
        raise click.UsageError("--all goes with --direction, --format and --to, and is as of the write-back")
    from bidrec.publishing.export import export_file
    from bidrec.publishing.to_postgres import export_table

    if file_format == "postgres":
        written = export_table(config, direction, top, to)
    else:
        written = export_file(config, direction, top, file_format, Path(to))
    facts: dict[str, Any] = {"direction": direction, "format": file_format, **written}
    return Result(
        data={"export": facts}, text=f"{written['rows']:,} rows, the list of each {direction}: {written['to']}"
    )


def _vector(file: TextIO | None) -> list[float]:
    wrong = click.UsageError("a vector is a JSON list of numbers")
    try:
        given = json.load(file)  # type: ignore[arg-type]
        if not isinstance(given, list) or not {*map(type, given)} <= {int, float}:
            raise wrong
        return [float(number) for number in given]
    except (ValueError, OverflowError, RecursionError) as error:  # too large a number, lists in lists without an end
        raise wrong from error
