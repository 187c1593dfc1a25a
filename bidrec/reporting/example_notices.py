"""The example notices in words: what is asked for, who was listed, why, and who bid.

Reads   `examples` of runs/ID/details.json; features/ for words and reasons, nothing later than the cutoff
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bidrec.publishing import reasons
from bidrec.publishing.layout import reading_features
from bidrec.publishing.newest import newest
from bidrec.reporting.market import feature_files
from bidrec.sql.words import dicts
from bidrec.sql.workspace import looking

Rows = dict[str, dict[str, Any]]
NOTICE = ("title", "buyer", "unit", "place", "region", "category", "value", "currency", "published_at")
COMPANY = ("name", "company_region")


def in_words(
    home: Path, examples: list[dict[str, Any]] | None, training_set: dict[str, Any]
) -> list[dict[str, Any]] | None:
    """Each example with its notice's columns, and each company's name, region and reasons as known at the cutoff, with
    the `as_of` of these.

    None without examples. What the home's features do not have any more is None, and the ids stay.
    """
    if not examples or "split" not in training_set:
        return None
    # What became known at the cutoff itself is not known yet.
    as_of = datetime.fromtimestamp(training_set["split"]["cutoff"] - 1, UTC)
    pairs = [(one["notice_id"], company["company_id"]) for one in examples for company in one["companies"]]
    notices, companies = _described(home, pairs, as_of)
    found = iter(reasons.reasons_for(home, pairs, as_of))
    told = []
    for one in examples:
        listed = [
            {
                **company,
                **companies.get(company["company_id"], dict.fromkeys(COMPANY)),
                "why": reasons.in_words(next(found)),
            }
            for company in one["companies"]
        ]
        told.append(
            {**one, "as_of": as_of, **notices.get(one["notice_id"], dict.fromkeys(NOTICE)), "companies": listed}
        )
    return told


def _described(home: Path, pairs: list[tuple[str, str]], as_of: datetime) -> tuple[Rows, Rows]:
    files = feature_files(home, "notice", "company_profile")
    if files is None:
        return {}, {}
    with reading_features(home), looking() as connection:
        notices = connection.execute(
            f"""SELECT notice_id, title, {reasons.BUYER}, place_name AS place, region, category, value, currency,
                 published_at FROM read_parquet($files) WHERE list_contains($ids, notice_id)""",
            {"files": files["notice"], "ids": sorted({notice for notice, _ in pairs})},
        )
        by_notice = {row["notice_id"]: row for row in dicts(notices)}
        companies = connection.execute(
            f"""SELECT company_id, name, region AS company_region
                FROM ({newest("company_id", "name", "region", files="files")}) WHERE list_contains($ids, company_id)""",
            {
                "files": files["company_profile"],
                "ids": sorted({company for _, company in pairs}),
                "as_of": as_of,
            },
        )
        return by_notice, {row["company_id"]: row for row in dicts(companies)}
