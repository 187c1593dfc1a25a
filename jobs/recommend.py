"""bidrec recommend: companies for a notice or open notices for a company, or near a vector, from what was published."""

import json
from datetime import UTC, datetime
from typing import TextIO

import click

from bidrec.config import Config
from jobs.options import command
from jobs.output import Result
from jobs.write_back import TIME

VECTOR = click.File("r", encoding="utf-8")


@command
@click.option("--notice", "notice_id", metavar="ID", help="Rank the companies for this notice.")
@click.option("--company", "company_id", metavar="ID", help="Rank the open notices for this company.")
@click.option("--companies-near", "near_companies", type=VECTOR, help="Rank the companies by cosine with a vector.")
@click.option("--notices-near", "near_notices", type=VECTOR, help="Rank the open notices by cosine with a vector.")
@click.option("--top", "k", default=10, show_default=True, type=click.IntRange(min=1), help="How many.")
@click.option("--as-of", type=TIME, help="With --company or --notices-near: notices open at this time (UTC).")
def recommend(
    config: Config,
    notice_id: str | None,
    company_id: str | None,
    near_companies: TextIO | None,
    near_notices: TextIO | None,
    k: int,
    as_of: datetime | None,
) -> Result:
    """Recommend companies for a notice, or open notices for a company.

    A vector is a file with a JSON list of numbers, as long as the published vectors; - reads it from stdin.
    """
    if sum(given is not None for given in (notice_id, company_id, near_companies, near_notices)) != 1:
        raise click.UsageError("give one of --notice ID, --company ID, --companies-near FILE, --notices-near FILE")
    from bidrec.publishing.recommend import Published
    from jobs.tables import companies_table, notices_table

    published = Published(config.home_path)
    moment = as_of.replace(tzinfo=UTC) if as_of else None
    if notice_id is not None:
        notice, companies = published.companies_for(notice_id, k)
        return Result(data={"notice": notice, "companies": companies}, text=companies_table(notice, companies))
    if company_id is not None:
        company, notices = published.notices_for(company_id, k, moment)
        return Result(data={"company": company, "notices": notices}, text=notices_table(company, notices))
    if near_companies is not None:
        companies = published.companies_near(_vector(near_companies), k)
        return Result(data={"companies": companies}, text=companies_table(None, companies))
    notices = published.notices_near(_vector(near_notices), k, moment)
    return Result(data={"notices": notices}, text=notices_table(None, notices))


def _vector(file: TextIO | None) -> list[float]:
    try:
        return [float(number) for number in json.load(file)]  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise click.UsageError("a vector is a JSON list of numbers") from error
