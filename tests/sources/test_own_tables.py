"""The source that the README tells users to copy works on tables of its kind."""

from datetime import UTC, datetime
from pathlib import Path

import duckdb

from bidrec.config import Config, Source
from bidrec.lake.ingest import ingest

OWN_TABLES = Path(__file__).parents[2] / "examples" / "own_tables"

DUMPS = {
    "tenders.csv": "number,published,deadline,subject,department,town,estimate\n"
    "T1,2024-07-01 10:00,2024-07-15 12:00,Road works,Roads,Évora,1000\n",
    "suppliers.csv": "tax_number,registered,town,staff\n501,2010-01-01,Évora,12\n",
    "offers.csv": "tender,tax_number,price,accepted\nT1,501,900,true\nT1,502,950.5,false\n",
}


def test_three_selects_bring_own_tables_in(tmp_path):
    for name, text in DUMPS.items():
        (tmp_path / name).write_text(text)
    ingest(Config(home=str(tmp_path / "home"), source=Source(name=str(OWN_TABLES), path=str(tmp_path), url="")))
    notices = duckdb.sql(
        f"SELECT notice_id, published_at, value FROM '{tmp_path}/home/lake/notice/*.parquet'"
    ).fetchall()
    assert notices == [("T1", datetime(2024, 7, 1, 9, tzinfo=UTC), 1000.0)]  # summer time in Lisbon
    bids = duckdb.sql(f"SELECT company_id, amount, won FROM '{tmp_path}/home/lake/bid/*.parquet'").fetchall()
    assert bids == [("501", 900.0, True), ("502", 950.5, False)]
