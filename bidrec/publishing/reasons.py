"""Why a company is recommended for a notice: its known bids at the same office, in that place, of that category.

Reads   features/notice, features/bid_log (bids known at the publication's as-of)

Counted when asked for, from the tables that the second stage counts too: nothing has to be stored per recommendation.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from bidrec.publishing.layout import reading_features
from bidrec.sql.workspace import looking
from bidrec.storage.intact import intact_tables

BUYER = """coalesce(buyer_name, buyer_id) AS buyer,
    nullif(coalesce(unit_name, unit), coalesce(buyer_name, buyer_id)) AS unit"""
"""SQL of who buys, and of whom for, where that is another office, the one that reasons are about."""
WORDS = {"office": "to this office", "place": "in this place", "category": "in this category"}


def reasons_for(home: Path, pairs: Sequence[tuple[str, str]], as_of: datetime) -> list[list[dict[str, Any]]]:
    """For each (notice id, company id): what speaks for it, the closest first, as {"of", "bids", "days_ago"}.

    `as_of`: aware; days are counted back from it, by the calendar (UTC). Without features in the home, nothing is said.
    Raises ContractError (65) where they are damaged, or of another layout.
    """
    if not pairs or not (home / "features").exists():
        return [[] for _ in pairs]
    tables = intact_tables(home / "features", ("notice", "bid_log"))
    sql = files("bidrec.publishing").joinpath("reasons.sql").read_text(encoding="utf-8")
    with reading_features(home), looking() as connection:
        asked = {
            "notices": [notice for notice, _ in pairs],
            "companies": [company for _, company in pairs],
            "notice_files": tables["notice"],
            "log_files": tables["bid_log"],
            "as_of": int(as_of.timestamp()),
        }
        rows = connection.execute(sql, asked).fetchall()
    return [_reasons(row, as_of) for row in rows]


def in_words(reasons: Sequence[dict[str, Any]]) -> str:
    """The reasons as one line for people. A company without them may have no bid at all."""
    if not reasons:
        return "no bid to this office, in this place or category: the model goes by the rest"
    return "; ".join(
        f"{bids_in_words(reason['bids'])} {WORDS[reason['of']]}, last {_ago(reason['days_ago'])}" for reason in reasons
    )


def _reasons(row: Sequence[Any], as_of: datetime) -> list[dict[str, Any]]:
    day = as_of.astimezone(UTC).date()
    return [
        {"of": what, "bids": bids, "days_ago": (day - last.astimezone(UTC).date()).days}
        for what, bids, last in zip(WORDS, row[::2], row[1::2], strict=True)
        if bids
    ]


def bids_in_words(number: int) -> str:
    return "1 bid" if number == 1 else f"{number:,} bids"


def _ago(days: int) -> str:
    return "today" if days == 0 else "yesterday" if days == 1 else f"{days:,} days ago"
