"""bidrec recommend: the companies for a notice, or the open notices for a company, from what was published."""

from datetime import UTC, datetime

import click

from bidrec.config import Config
from jobs.options import command
from jobs.output import Result
from jobs.write_back import TIME


@command
@click.option("--notice", "notice_id", metavar="ID", help="Rank the companies for this notice.")
@click.option("--company", "company_id", metavar="ID", help="Rank the open notices for this company.")
@click.option("--top", "k", default=10, show_default=True, type=click.IntRange(min=1), help="How many.")
@click.option("--as-of", type=TIME, help="With --company: notices open at this time (UTC).")
def recommend(config: Config, notice_id: str | None, company_id: str | None, k: int, as_of: datetime | None) -> Result:
    """Recommend companies for a notice, or open notices for a company."""
    if (notice_id is None) == (company_id is None):
        raise click.UsageError("give either --notice ID or --company ID")
    from bidrec.publishing.recommend import Published
    from jobs.tables import companies_table, notices_table

    published = Published(config.home_path)
    if notice_id is not None:
        notice, companies = published.companies_for(notice_id, k)
        return Result(data={"notice": notice, "companies": companies}, text=companies_table(notice, companies))
    moment = as_of.replace(tzinfo=UTC) if as_of else None
    company, notices = published.notices_for(str(company_id), k, moment)
    return Result(data={"company": company, "notices": notices}, text=notices_table(company, notices))
