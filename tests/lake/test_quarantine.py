"""Bad rows over several ingests: kept apart, counted once, and over the news alone."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from bidrec.config import Config, Contract
from bidrec.errors import ContractError
from bidrec.lake.ingest import ingest
from bidrec.storage.sealed import read_manifest
from tests.tables import DAY, NOW, bid, company, notice, write_source

BIDS = [bid(0, by) for by in range(100)]


def run(home: Path, day: int, bids: list[dict[str, Any]], share: float = 0.01) -> dict[str, Any]:
    source = write_source(home / "source", notice=[notice()], company=[company()], bid=bids)
    return ingest(Config(home=str(home), source=source, contract=Contract(max_bad_share=share)), now=NOW + day * DAY)


def refused(home: Path, number: int) -> list[tuple[str, str]]:
    file = home / "quarantine" / f"{number:06d}" / "bid.parquet"
    return duckdb.sql(f"SELECT company_id, reason FROM '{file}' ORDER BY 1").fetchall()


def test_each_ingest_has_a_quarantine_of_its_own_with_what_no_earlier_one_holds(tmp_path):
    negative = bid(0, 100, amount=-1.0)
    run(tmp_path, 0, [*BIDS, negative])
    news = [bid(0, by) for by in range(200, 300)]
    manifest = run(tmp_path, 1, [*BIDS, *news, negative, bid(0, 101, amount=-2.0)])
    assert manifest["tables"]["bid"]["quarantined"] == 1
    assert [refused(tmp_path, number) for number in (1, 2)] == [
        [("c100", "amount is negative")],
        [("c101", "amount is negative")],
    ]


def test_the_share_of_bad_rows_is_that_of_the_news_and_a_refused_ingest_hides_none(tmp_path):
    before = run(tmp_path, 0, BIDS)
    for attempt in (1, 2):
        with pytest.raises(ContractError, match="bid: 2 of 3 rows are bad, with those before 2 of 103, more ") as told:
            run(tmp_path, attempt, [*BIDS, bid(0, 101), bid(0, 102, amount=-1.0), bid(0, 103, amount=-1.0)])
        assert read_manifest(tmp_path / "lake") == before
        assert refused(tmp_path, 2) == [("c102", "amount is negative"), ("c103", "amount is negative")]
        assert f"look into {tmp_path}/quarantine/000002/bid.parquet" in told.value.hint


def test_a_bad_row_that_becomes_good_comes_into_the_lake_and_a_good_one_that_becomes_bad_stays_as_it_was(tmp_path):
    run(tmp_path, 0, [*BIDS, bid(0, 100, amount=-1.0)])
    manifest = run(tmp_path, 1, [bid(0, 0, amount=-1.0), *BIDS[1:], bid(0, 100, amount=7.0)], share=0.5)
    assert manifest["ingests"][-1]["came"]["bid"]["rows"] == 1
    assert set(manifest["ingests"][-1]["came"]["company"].values()) == {0}
    assert refused(tmp_path, 2) == [("c0", "amount is negative")]
    bids = f"SELECT company_id, amount FROM '{tmp_path}/lake/bid/*.parquet' WHERE company_id IN ('c0', 'c100')"
    assert sorted(duckdb.sql(bids).fetchall()) == [("c0", 900.0), ("c100", 7.0)]


def test_of_bad_rows_that_are_the_same_in_every_column_each_counts(tmp_path):
    """Without a key they are no duplicates."""
    nobody = bid(0, 100, company_id=None)
    run(tmp_path, 0, [*BIDS, nobody], share=0.5)
    manifest = run(tmp_path, 1, [*BIDS, nobody, nobody, bid(0, 200)], share=0.5)
    assert manifest["tables"]["bid"]["quarantined"] == 1
    assert refused(tmp_path, 2) == [(None, "company_id is missing")]


def test_a_table_of_which_nothing_was_refused_has_no_file_that_each_later_ingest_would_read(tmp_path):
    run(tmp_path, 0, BIDS)
    run(tmp_path, 1, [*BIDS, bid(0, 200), bid(0, 101, amount=-1.0)], share=0.5)
    written = {str(file.relative_to(tmp_path / "quarantine")) for file in (tmp_path / "quarantine").rglob("*.parquet")}
    assert written == {"000002/bid.parquet"}
    assert read_manifest(tmp_path / "quarantine" / "000002")["tables"]["notice"]["quarantined"] == 0


def test_where_no_row_is_bad_nothing_is_read_of_what_was_refused_before(tmp_path):
    run(tmp_path, 0, [*BIDS, bid(0, 100, amount=-1.0)])
    (tmp_path / "quarantine" / "000001" / "bid.parquet").write_text("no Parquet")
    assert run(tmp_path, 1, [*BIDS, bid(0, 200)])["ingests"][-1]["came"]["bid"]["rows"] == 1


def test_one_bad_row_among_an_hours_few_is_no_reason_to_stop_but_one_in_every_hour_is(tmp_path):
    given = [bid(0, by) for by in range(900)]
    run(tmp_path, 0, given)
    for hour in range(1, 10):
        given += [bid(0, 1000 * hour), bid(0, 1000 * hour + 1), bid(0, 1000 * hour + 2, amount=-1.0)]
        run(tmp_path, hour, given)
    with pytest.raises(ContractError, match="bid: 3 of 3 rows are bad, with those before 12 of 930, more than"):
        run(tmp_path, 10, [*given, *(bid(0, 10_000 + by, amount=-1.0) for by in range(3))])


def test_of_a_large_ingest_before_only_so_many_rows_count_that_a_thousand_are_judged(tmp_path):
    """Else a hundred new rows, all of them bad, were .3 % of what was ever given."""
    given = [bid(0, by, amount=900.0 if by % 1000 else -1.0) for by in range(1, 30_001)]
    run(tmp_path, 0, given)
    with pytest.raises(ContractError, match="bid: 100 of 100 rows are bad, with those before 101 of 1000, more than"):
        run(tmp_path, 1, [*given, *(bid(0, 40_000 + by, amount=-1.0) for by in range(100))])
