"""What the pages show: notices and companies that are searched for, and one's list with what it may be filtered by.

Reads   published/current, the newest at each question; features/ for regions and licences
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from bidrec.publishing.layout import READ, reading_features
from bidrec.publishing.newest import newest
from bidrec.publishing.reasons import in_words
from bidrec.publishing.recommend import Published
from bidrec.sql.words import dicts
from bidrec.sql.workspace import looking
from bidrec.storage.intact import intact_tables

FOUND = 50
"""Notices, and companies, of a search, at most."""
LONGEST = 300
"""Letters of a question that are read: a title fits, and 20,000 words would keep all cores busy for minutes."""
LISTED = 1000
"""Rows of a list, at most: of a notice that has closed all companies are ranked."""
Row = dict[str, Any]
_HELD = f"""
    SELECT company_id, region, licences FROM ({newest("company_id", "region", "licences", files="files")})
    WHERE company_id IN (SELECT unnest($ids::VARCHAR[]))"""
_ASKED_FOR = """
    SELECT notice_id, region, licence_limit FROM read_parquet($files)
    WHERE published_at <= $as_of AND notice_id IN (SELECT unnest($ids::VARCHAR[]))"""
"""SQL of region and licences as known at $as_of: those companies have, and those notices ask for."""


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What a list is narrowed by; empty: by nothing."""

    region: str = ""
    licence: str = ""
    open_now: bool = False
    least: float | None = None
    """Of the value, in the notice's currency; a notice without a value has none that is too small or too large."""
    most: float | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Filters":
        """Of a page's query; what is no number narrows nothing."""
        return cls(
            region=query.get("region", ""),
            licence=query.get("licence", ""),
            open_now=query.get("open") == "1",
            least=_number(query.get("least", "")),
            most=_number(query.get("most", "")),
        )

    def keep(self, row: Row, now: datetime) -> bool:
        value, closes_at = row.get("value"), row.get("closes_at")
        return (
            self.region in ("", row["region"])
            and (not self.licence or self.licence in row["licences"])
            and not (self.open_now and (closes_at is None or closes_at <= now))
            and not (value is not None and self.least is not None and value < self.least)
            and not (value is not None and self.most is not None and value > self.most)
        )

    def in_words(self) -> list[str]:
        """What a list is narrowed by, for people."""
        said = [
            self.region and f"region {self.region}",
            self.licence and f"licence {self.licence}",
            self.least is not None and f"value from {self.least:,.15g}",
            self.most is not None and f"value up to {self.most:,.15g}",
            self.open_now and "open now",
        ]
        return [words for words in said if words]


@dataclass(frozen=True)
class Listing:
    """A notice and its companies, or a company and its notices."""

    asked: Row
    rows: list[Row]
    """Those that the filters keep, with region, licences and why."""
    of: int
    """How many there are without filters, at most LISTED."""
    only: list[str]
    """What the filters ask for, in words."""
    regions: list[str]
    licences: list[str]
    """Of all rows, to choose from."""
    as_of: datetime
    zone: tzinfo
    """Whose clock the page's times are shown by: the source's."""


class Found(NamedTuple):
    """What a search finds, at most FOUND of each."""

    notices: list[Row]
    companies: list[Row]
    zone: tzinfo
    """As a Listing's."""


def search(home: Path, words: str) -> Found:
    """Notices and companies in whose id or words every word occurs, whatever its capitals, the composition of its
    Hangul, the blanks between words, and the hyphens in a number; the newest and the busiest first."""
    published = Published(home)
    notices = _found(
        published,
        "notices",
        ("notice_id", "title", "buyer", "unit", "place"),
        "published_at DESC, notice_id",
        words,
    )
    companies = _found(
        published,
        "companies",
        ("company_id", "name", "region"),
        "bids DESC, company_id",
        words,
    )
    return Found(notices, companies, published.zone)


def companies_of(home: Path, notice_id: str, filters: Filters) -> Listing:
    """The companies for a notice. Raises InputMissing (66) for an unknown one."""
    published = Published(home)
    notice, rows = published.companies_for(notice_id, LISTED)
    ids = [row["company_id"] for row in rows]
    held = _facts(home, "company_profile", _HELD, ids, published.as_of)
    return _listing(notice, [{**row, **held[row["company_id"]]} for row in rows], filters, published)


def notices_of(home: Path, company_id: str, filters: Filters) -> Listing:
    """The open notices for a company, if any is open. Raises InputMissing (66) for an unknown company."""
    published = Published(home)
    some_open = published.an_open_notice()
    company, rows = published.notices_for(company_id, LISTED) if some_open else (published.company(company_id), [])
    ids = [row["notice_id"] for row in rows]
    asked_for = _facts(home, "notice", _ASKED_FOR, ids, published.as_of)
    return _listing(company, [{**row, **asked_for[row["notice_id"]]} for row in rows], filters, published)


def _listing(asked: Row, rows: list[Row], filters: Filters, published: Published) -> Listing:
    now = datetime.now(UTC)
    return Listing(
        asked=asked,
        rows=[row | {"why": in_words(row["reasons"])} for row in rows if filters.keep(row, now)],
        of=len(rows),
        only=filters.in_words(),
        regions=sorted({row["region"] for row in rows if row["region"]}),
        licences=sorted({licence for row in rows for licence in row["licences"]}),
        as_of=published.as_of,
        zone=published.zone,
    )


def _found(published: Published, table: str, text: Sequence[str], order: str, words: str) -> list[Row]:
    file = {"file": str(published.file(f"{table}.parquet"))}
    with looking() as connection:
        asked = dicts(connection.execute(_WORDS, {"words": words[:LONGEST].split()}))  # once, and not with each row
        if not asked:
            newest = f"SELECT {', '.join(READ[table])} FROM read_parquet($file) ORDER BY {order} LIMIT {FOUND}"
            return dicts(connection.execute(newest, file))
        # Column by column: of a buyer or a place, each spelling is made plain once.
        result = connection.execute(
            f"""SELECT {", ".join(READ[table])}
                FROM (
                    SELECT *, concat_ws(' ', {", ".join(text)}) AS whole,
                        replace(concat_ws(' ', {", ".join(map(_plain, text))}), ' ', '') AS squeezed
                    FROM read_parquet($file)
                )
                WHERE len(list_filter($asked, lambda word: NOT (
                    contains(squeezed, word.plain) OR coalesce(contains(whole, word.number), false)
                ))) = 0
                ORDER BY {order} LIMIT {FOUND}""",
            {**file, "asked": asked},
        )
        return dicts(result)


def _plain(text: str) -> str:
    """SQL: the text without capitals and accents, however its letters are composed (strip_accents composes what it
    leaves, Hangul too), and (주) spelled out."""
    return f"replace(lower(strip_accents({text})), '㈜', '(주)')"


_WORDS = f"""
    SELECT {_plain("word")} AS plain,
        CASE WHEN regexp_full_match(word, '\\d[\\d-]+') THEN replace(word, '-', '') END AS number
    FROM (SELECT unnest($words::VARCHAR[]) AS word)"""


def _facts(home: Path, table: str, sql: str, ids: list[str], as_of: datetime) -> dict[str, dict[str, Any]]:
    """Id -> region and licences as known then; None and [] where nothing is. Raises ContractError (65) where the
    features are damaged."""
    facts: dict[str, dict[str, Any]] = {one: {"region": None, "licences": []} for one in ids}
    if not (home / "features").exists():  # a home without features says nothing
        return facts
    files = intact_tables(home / "features", (table,))[table]
    with reading_features(home), duckdb.connect() as connection:
        for one, region, licences in connection.execute(sql, {"files": files, "as_of": as_of, "ids": ids}).fetchall():
            facts[one] = {"region": region, "licences": [word for word in licences or [] if word is not None]}
    return facts


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", "").replace("_", ""))
    except ValueError:
        return None
