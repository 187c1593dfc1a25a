"""Recommendations as tables for people: companies for a notice, notices for a company."""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


def companies_table(
    notice: Mapping[str, Any] | None, companies: Sequence[Mapping[str, Any]], as_of: datetime, zone: tzinfo
) -> "RenderableType":
    """A notice in words, then its companies; without a notice, the companies near a vector.

    `as_of`: of the bids. `zone`: whose clock the times are shown by."""
    from rich.console import Group

    table = _listing("company", "name", "region", "bids known", "last opening", companies, why=notice is not None)
    for row in companies:
        table.add_row(
            str(row["rank"]),
            row["company_id"],
            _lines(row["name"], row["region"]),
            _lines(f"{row['bids']:,}", _day(row["last_bid_at"], zone)),
            f"{row['score']:.3f}",
            *_reasons(row),
        )
    if notice is None:
        return Group("Companies, by cosine with the vector", table)
    place = f", {notice['place']}" if notice["place"] else ""
    return Group(
        f"Companies for notice {notice['notice_id']}: {notice['title'] or 'without title'}\n"
        f"  {_buyer(notice) or 'unknown buyer'}{place}, {_money(notice)}\n"
        f"  closes {_time(notice['closes_at'], zone)}, bids {_known(as_of, zone)}",
        table,
    )


def notices_table(
    company: Mapping[str, Any] | None, notices: Sequence[Mapping[str, Any]], as_of: datetime, zone: tzinfo
) -> "RenderableType":
    """A company in words, then the open notices for it; without a company, those near a vector.

    `as_of`: of the bids. `zone`: whose clock the times are shown by."""
    from rich.console import Group

    from bidrec.publishing.reasons import bids_in_words

    table = _listing("notice", "title", "buyer", "value", "closes", notices, why=company is not None)
    for row in notices:
        table.add_row(
            str(row["rank"]),
            row["notice_id"],
            _lines(row["title"], _buyer(row)),
            _lines(_money(row), _time(row["closes_at"], zone)),
            f"{row['score']:.3f}",
            *_reasons(row),
        )
    if company is None:
        return Group(f"Open notices, by cosine with the vector; times: {zone}", table)
    words = ", ".join(part for part in (company["name"], company["region"]) if part)
    return Group(
        f"Open notices for company {company['company_id']}: {words or 'without name'}\n"
        f"  {bids_in_words(company['bids'])} {_known(as_of, zone)}",
        table,
    )


def _listing(
    of: str, name: str, whose: str, size: str, when: str, rows: Sequence[Mapping[str, Any]], *, why: bool
) -> "Table":
    """An empty list for the rows, narrow enough for a terminal of 80 columns: two facts to a cell, and an id is never
    cut. A score that is no probability is called what it is.

    `why`: whether there are reasons; what is near a vector has none."""
    from rich.table import Table

    table = Table("rank")
    table.add_column(of, no_wrap=True)
    table.add_column(_lines(name, whose), overflow="fold")
    table.add_column(_lines(size, when), no_wrap=True)
    table.add_column("cosine" if any(row["score_is"] == "cosine" for row in rows) else "score", no_wrap=True)
    if why:
        table.add_column("why")
    return table


def _lines(*parts: str | None) -> str:
    return "\n".join(part for part in parts if part)


def _reasons(row: Mapping[str, Any]) -> list[str]:
    """The closest reason alone: a table is narrow, --json has them all."""
    from bidrec.publishing.reasons import in_words

    return [in_words(row["reasons"][:1])] if "reasons" in row else []


def _money(notice: Mapping[str, Any]) -> str:
    from bidrec.reporting.templates import money

    return money(notice) or "value unknown"


def _buyer(notice: Mapping[str, Any]) -> str:
    from bidrec.reporting.templates import buyer

    return buyer(notice)


def _known(as_of: datetime, zone: tzinfo) -> str:
    """Of a publication that may be older than it seems; the table's other times are by the same clock."""
    return f"known as of {_time(as_of, zone)} ({zone})"


def _day(value: datetime | None, zone: tzinfo) -> str:
    return f"{value.astimezone(zone):%Y-%m-%d}" if value else "none yet"


def _time(value: datetime | None, zone: tzinfo) -> str:
    return f"{value.astimezone(zone):%Y-%m-%d %H:%M}" if value else "unknown"
