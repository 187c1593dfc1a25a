import os
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow
import pytest
from pyarrow import parquet

from bidrec.config import Config, Source
from bidrec.errors import ContractError
from bidrec.lake.ingest import ingest
from bidrec.sources.definition import load_definition

NOON = datetime(2024, 1, 10, 12)  # Indian clock time; 06:30 UTC


def write(folder: Path, **more: list[dict]) -> None:
    """Two states, one notice each, and further rows; the fields a test does not speak of are NULL."""
    rows = {
        "notice": [
            {"notice_id": f"{state}:1", "region": region, "published_at": datetime(2024, 1, 1, 10), "opened_at": NOON,
             "title": "Road", "org_level1": "PWD", "org_leaf": "PWD Puri", "estimated_value": value, "currency": "INR",
             "num_covers": 2.0}
            for state, region, value in (("OD", "Odisha", 0.0), ("HP", "Himachal Pradesh", 5.0))
        ],
        "company": [
            {"company_id": f"{state}:a", "region": region, "name_type": "business_name", "n_name_tokens": 2}
            for state, region in (("OD", "Odisha"), ("HP", "Himachal Pradesh"))
        ],
        "bid": [
            {"notice_id": "OD:1", "company_id": "OD:a", "bid_at": datetime(2024, 1, 9, 12), "bid_at_plausible": True},
            {"notice_id": "OD:1", "company_id": "OD:b", "bid_at": datetime(2024, 1, 9, 12), "bid_at_plausible": False},
            {"notice_id": "HP:1", "company_id": "HP:a", "bid_at": datetime(2024, 1, 11, 12), "bid_at_plausible": True},
        ],
    }  # fmt: skip
    kinds = {
        "VARCHAR": "string",
        "TIMESTAMP": "timestamp[us]",
        "DOUBLE": "float64",
        "BOOLEAN": "bool",
        "BIGINT": "int64",
    }
    folder.mkdir()
    for raw in load_definition("gepnic").raw:
        types = {name: pyarrow.type_for_alias(kinds[kind]) for name, kind in raw.columns.items() if kind != "TIMESTAMP"}
        types |= {name: pyarrow.timestamp("us") for name, kind in raw.columns.items() if kind == "TIMESTAMP"}
        table = pyarrow.Table.from_pylist(
            [{name: row.get(name) for name in types} for row in [*rows[raw.name], *more.get(raw.name, [])]],
            pyarrow.schema(types),
        )
        parquet.write_table(table, folder / f"{raw.table}.parquet")


def run(home: Path, folder: Path, region: str = "") -> dict:
    source = Source(name="gepnic", path=str(folder), url="", parameters={"region": region})
    return ingest(Config(home=str(home), source=source))


def test_times_are_indian_and_a_zero_value_is_none(tmp_path):
    write(tmp_path / "data")
    run(tmp_path, tmp_path / "data")
    rows = duckdb.sql(
        f"SELECT notice_id, published_at, opened_at, value, unit, attributes FROM '{tmp_path}/lake/notice/*.parquet'"
    ).fetchall()
    published, opened = datetime(2024, 1, 1, 4, 30, tzinfo=UTC), datetime(2024, 1, 10, 6, 30, tzinfo=UTC)
    assert rows == [
        ("HP:1", published, opened, 5.0, "PWD Puri", ["num_covers=2"]),
        ("OD:1", published, opened, None, "PWD Puri", ["num_covers=2"]),
    ]


def test_a_submission_time_that_cannot_be_is_replaced_by_the_opening(tmp_path):
    write(tmp_path / "data")
    run(tmp_path, tmp_path / "data")
    rows = duckdb.sql(
        f"SELECT company_id, event_at, known_at FROM '{tmp_path}/lake/bid/*.parquet' ORDER BY 1"
    ).fetchall()
    opened = datetime(2024, 1, 10, 6, 30, tzinfo=UTC)
    assert rows == [
        ("HP:a", opened, opened),  # after the opening
        ("OD:a", datetime(2024, 1, 9, 6, 30, tzinfo=UTC), opened),
        ("OD:b", opened, opened),  # marked implausible
    ]


def test_a_company_is_known_from_the_first_opening_of_its_bids_on(tmp_path):
    later = {"notice_id": "OD:2", "published_at": datetime(2024, 1, 2, 10), "opened_at": datetime(2024, 1, 20, 12)}
    write(tmp_path / "data", notice=[later], bid=[{"notice_id": "OD:2", "company_id": "OD:a"}])
    run(tmp_path, tmp_path / "data")
    rows = duckdb.sql(f"SELECT company_id, known_at FROM '{tmp_path}/lake/company/*.parquet'").fetchall()
    opened = datetime(2024, 1, 10, 6, 30, tzinfo=UTC)
    assert rows == [("HP:a", opened), ("OD:a", opened)]


def test_the_region_chooses_one_state_in_all_three_tables(tmp_path):
    write(tmp_path / "data")
    manifest = run(tmp_path, tmp_path / "data", "Odisha")
    assert {name: table["rows"] for name, table in manifest["tables"].items()} == {"notice": 1, "company": 1, "bid": 2}
    manifest = run(tmp_path, tmp_path / "data")
    assert {name: table["rows"] for name, table in manifest["tables"].items()} == {"notice": 2, "company": 2, "bid": 3}


def test_a_bid_on_no_notice_is_refused_whatever_region_was_chosen(tmp_path):
    write(tmp_path / "data", bid=[{"notice_id": "OD:9", "company_id": "OD:a"}])
    with pytest.raises(ContractError, match="no notice has this notice_id: 1"):
        run(tmp_path, tmp_path / "data", "Odisha")


@pytest.mark.gepnic
@pytest.mark.skipif(not os.environ.get("BIDREC_GEPNIC_DIR"), reason="BIDREC_GEPNIC_DIR does not name the real bids")
def test_of_the_real_bids_less_than_a_thousandth_is_quarantined(tmp_path):
    manifest = run(tmp_path, Path(os.environ["BIDREC_GEPNIC_DIR"]), "Himachal Pradesh")
    for table in manifest["tables"].values():
        assert table["rows"] > 9_000
        assert table["quarantined"] < 0.001 * table["rows"]
