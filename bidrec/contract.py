"""The canonical tables: the one place that names their columns, keys, types, units and rules.

A source's three SELECTs (`bidrec/sources/`) must give these columns; `bidrec/lake/checks.py` holds what they gave
against them; everything right of the lake reads these names. Times are TIMESTAMPTZ in UTC, money is in the currency of
the notice's `currency` column, lengths of time are in days.

Every row has a time it happened and a time it could be known: a notice at `published_at` (both), a bid submitted at
`event_at` but public only at `known_at` (the opening) and won only from `decided_at` on, a company's record as it
stands from `known_at` on.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Column:
    """One canonical column."""

    name: str
    type: str
    """A DuckDB type."""
    needed: bool = False
    """The source must give the column, and no row may leave it NULL. Other columns may be left out or be NULL."""
    bounded: bool = False
    """A time that must lie between `contract.earliest` and `contract.max_future_days` from now."""


@dataclass(frozen=True, kw_only=True)
class Table:
    name: str
    key: tuple[str, ...]
    """Two rows may never share it: ties would make an as-of join a matter of luck."""
    order: tuple[str, ...]
    """The lake's row order; it contains the key, so that the order is total."""
    columns: tuple[Column, ...]
    never: tuple[tuple[str, str], ...] = ()
    """(reason, SQL condition over the row): where it holds, the row is quarantined."""

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name.lower()), None)

    @property
    def thing(self) -> tuple[str, ...]:
        """The columns that say which notice, company or bid a row is of, in whatever version."""
        return tuple(column for column in self.key if column != "known_at")

    @property
    def reserved(self) -> tuple[str, ...]:
        """Names that no source may give: of the ingest's and the features' columns, and DuckDB's of a row's place."""
        own = (REASON, "part", "part_file", "came", "late", "known_at", "is_publication")
        return tuple(name for name in (*own, *ROW_OF_FILE) if self.column(name) is None)

    @property
    def needed(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.needed)


def _text(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name=name, type="VARCHAR") for name in names)


def _key(name: str) -> Column:
    return Column(name=name, type="VARCHAR", needed=True)


def _time(name: str, needed: bool = False) -> Column:
    return Column(name=name, type="TIMESTAMPTZ", needed=needed, bounded=True)


def _number(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name=name, type="DOUBLE") for name in names)


def _list(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name=name, type="VARCHAR[]") for name in names)


def _impossible(*names: str) -> tuple[tuple[str, str], ...]:
    """Amounts and lengths that no procurement has: below zero, or not a number."""
    return tuple(
        pair
        for name in names
        for pair in (
            (f"{name} is negative", f"{name} < 0"),
            (f"{name} is not a finite number", f"NOT isfinite({name})"),
        )
    )


NOTICE = Table(
    name="notice",
    key=("notice_id",),
    order=("published_at", "notice_id"),
    columns=(
        _key("notice_id"),
        # Event time and known time in one: the moment the notice, as described here, was public.
        _time("published_at", needed=True),
        _time("closes_at"),
        # Bids become public. NULL or still to come on an open notice.
        _time("opened_at"),
        # Called off: from then on nobody can bid. NULL: not withdrawn.
        _time("withdrawn_at"),
        # Organisations from the top (`parent`) down to the one that needs the work (`unit`).
        *_text("title", "buyer_id", "buyer_name", "parent", "department", "unit", "unit_name"),
        *_text("place", "place_code", "region"),
        *_text("category", "subcategory", "work_type", "method", "contract_form", "award_method"),
        *_number("value"),
        *_text("currency"),
        *_number("deposit", "fee", "duration_days"),
        # Other categorical facts, each 'column=value'.
        *_list("attributes"),
        # Who may bid; NULL or empty means anybody.
        *_list("region_limit", "licence_limit"),
        # Re-notice number, 0 = first notice.
        Column(name="reissue", type="INTEGER"),
    ),
    never=(
        ("closes_at is before published_at", "closes_at < published_at"),
        ("opened_at is before published_at", "opened_at < published_at"),
        *_impossible("value", "deposit", "fee", "duration_days"),
        ("reissue is negative", "reissue < 0"),
        ("attributes holds a NULL", "len(attributes) > list_count(attributes)"),
    ),
)

COMPANY = Table(
    name="company",
    key=("company_id", "known_at"),
    order=("company_id", "known_at"),
    columns=(
        _key("company_id"),
        # From when on the record stands as given here; several rows of a company are its versions.
        _time("known_at", needed=True),
        *_text("name", "region", "region_code", "kind", "country", "head_office"),
        # Companies may be older than any notice: not bounded.
        Column(name="founded_at", type="TIMESTAMPTZ"),
        *_number("employees"),
        *_list("licences", "attributes"),
    ),
    never=(
        *_impossible("employees"),
        ("attributes holds a NULL", "len(attributes) > list_count(attributes)"),
    ),
)

BID = Table(
    name="bid",
    key=("notice_id", "company_id"),
    order=("known_at", "notice_id", "company_id"),
    columns=(
        _key("notice_id"),
        _key("company_id"),
        # Submitted, sealed. Equal to known_at where the source has no submission time.
        _time("event_at", needed=True),
        # Public: the opening. Nothing may use the bid before.
        _time("known_at", needed=True),
        *_number("amount"),
        Column(name="rank", type="INTEGER"),
        # NULL: not decided, or not known.
        Column(name="won", type="BOOLEAN"),
        # Passed, not disqualified.
        Column(name="valid", type="BOOLEAN"),
        # The award: nothing may use `won` before. NULL: with the bid.
        _time("decided_at"),
    ),
    never=(
        ("known_at is before event_at", "known_at < event_at"),
        *_impossible("amount"),
    ),
)

TABLES: dict[str, Table] = {table.name: table for table in (NOTICE, COMPANY, BID)}

ROW_OF_FILE = ("file_index", "file_row_number")
"""By these columns DuckDB numbers the rows of Parquet files; in a file that has one of its own, it cannot."""

REASON = "reason"
"""The column a quarantined row carries."""

PERSONAL = re.compile(
    r"(telno|contacttel|faxno|emailadrs|ofclnm|ceonm|exctvnm|phone|e_?mail|official_name|contact_name)$", re.I
)
"""Names of columns that hold officials' or representatives' names and numbers: they never enter the lake."""
