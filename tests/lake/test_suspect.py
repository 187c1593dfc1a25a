"""A source that changes its shape between two ingests: what still holds the contract is told of in one line."""

from dataclasses import replace
from pathlib import Path

import pytest

from bidrec.config import Config
from bidrec.lake.ingest import ingest
from tests.tables import DAY, NOW, bid, company, notice, write_source

NOTICES = [notice(number, place=f"p{number % 3}", title=f"도로 {number}") for number in range(40)]
COMPANIES = [company(number, region=f"r{number % 3}") for number in range(30)]
BIDS = [bid(of, by) for of in range(40) for by in range(2)]


def told(home: Path, **then: list[dict]) -> dict[str, list[str]]:
    """What an ingest of these tables warns of, after one of those above."""
    before = {"notice": NOTICES, "company": COMPANIES, "bid": BIDS}
    config = Config(home=str(home / "home"), source=write_source(home / "source", **before))
    known = ingest(config, now=NOW)["tables"]
    manifest = ingest(replace(config, source=write_source(home / "source", **(before | then))), now=NOW + DAY)
    return {
        name: [line for line in table["warnings"] if line not in known[name]["warnings"]]
        for name, table in manifest["tables"].items()
    }


def each(rows: list[dict], **change) -> list[dict]:
    return [row | {name: make(row) for name, make in change.items()} for row in rows]


@pytest.mark.parametrize(
    ("table", "rows", "columns"),
    [
        ("notice", each(NOTICES, value=lambda row: row["value"] * 1000), "value"),
        ("notice", each(NOTICES, title=lambda row: row["title"].encode().decode("latin-1")), "title"),
        ("notice", each(NOTICES, title=lambda row: row["place"], place=lambda row: row["title"]), "place, title"),
        ("notice", each(NOTICES, closes_at=lambda row: row["closes_at"] + DAY / 24), "closes_at"),
        ("company", each(COMPANIES, region=lambda row: f"KR-{row['region']}"), "region"),
        ("bid", each(BIDS, amount=lambda row: row["amount"] / 1000), "amount"),
    ],
    ids=["units", "encoding", "columns", "clock", "codes", "a bid's units"],
)
def test_what_changed_over_night_in_most_rows_is_told_with_the_columns(tmp_path, table, rows, columns):
    warned = told(tmp_path, **{table: rows})
    (line,) = warned.pop(table)
    total = {"notice": 40, "company": 30, "bid": 80}[table]
    assert line.startswith(f"{table}: most of the lake's {total} rows have another {columns} now: ")
    assert not any(warned.values())


def test_ids_that_are_others_over_night_are_told_of(tmp_path):
    renamed = each(COMPANIES, company_id=lambda row: f"0{row['company_id']}")
    warned = told(tmp_path, company=renamed, bid=each(BIDS, company_id=lambda row: f"0{row['company_id']}"))
    assert warned["company"] == [
        "company: 30 of the lake's 30 ids are given no more, and 30 others as old are: the same under other ids, or "
        "another's tables? The lake has both now; a copy from before undoes it, or bidrec ingest --force"
    ]


def test_news_corrections_of_a_few_and_a_source_that_keeps_the_newest_alone_are_not_suspect(tmp_path):
    corrected = [*each(NOTICES[:15], value=lambda _: 1.0), *NOTICES[15:]]
    newest = [*NOTICES[30:], *(notice(number, place="p1") for number in range(40, 80))]
    for name, rows in {"corrected": corrected, "newest": newest}.items():
        ids = {row["notice_id"] for row in rows}
        bids = [row for row in BIDS if row["notice_id"] in ids]
        assert not any(told(tmp_path / name, notice=rows, bid=bids).values())


def test_values_that_were_missing_and_are_filled_in_are_not_suspect(tmp_path):
    later = each(NOTICES, buyer_id=lambda row: f"b{row['place']}", region=lambda _: "North")
    assert not any(told(tmp_path, notice=later).values())
