"""A lake that somebody was erased from is the lake that never had them, and stays it."""

import tempfile
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.config import Config, Contract
from bidrec.contract import TABLES
from bidrec.errors import ContractError, InputMissing, Interrupted
from bidrec.features.build import EVENT_TIMES, build_features
from bidrec.lake import erase
from bidrec.lake.erase import erase_from_lake, take_in_again
from bidrec.lake.ingest import ingest
from bidrec.lake.parts import newest_reading
from bidrec.storage.intact import require_intact
from bidrec.storage.locks import one_job_at_a_time
from bidrec.storage.sealed import read_manifest
from tests.features.lakes import read
from tests.features.worlds import Ingest, worlds, write
from tests.tables import DAY, NOW, bid, company, lake, notice, write_source

KEY = "stranger"
GONE = {"company_id": {KEY}, "notice_id": ()}
VIEWS = [*(f"lake_{table}_stood" for table in TABLES), "lake_notice_now", "lake_bid_now"]
IDS = ["c0", KEY, "c2"]
NOTICES = [notice(number) for number in range(20)]
COMPANIES = [company(company_id=each) for each in IDS]
BIDS = [bid(of, company_id=each) for of in range(20) for each in IDS]


def config_of(home: Path, **tables: list) -> Config:
    source = write_source(home / "source", **({"notice": NOTICES, "company": COMPANIES, "bid": BIDS} | tables))
    return Config(home=str(home), source=source, contract=Contract(max_bad_share=0.5))


def without(rows: list[dict], key: str) -> list[dict]:
    return [row for row in rows if key not in (row.get("company_id"), row.get("notice_id"))]


def seen(home: Path) -> dict[str, list[tuple]]:
    """What a reader of the lake is told; of which part a row is has no meaning of its own."""
    return {view: lake(home, view, "* EXCLUDE (part)", "ORDER BY ALL") for view in VIEWS}


def bytes_of(home: Path, *boxes: str) -> str:
    """Every value of every Parquet file, and whatever else there is, as text."""
    files = [file for box in boxes for file in (home / box).rglob("*") if file.is_file()]
    tables = [file for file in files if file.suffix == ".parquet"]
    values = [str(duckdb.sql(f"SELECT t::VARCHAR FROM '{file}' AS t").fetchall()) for file in tables]
    return "\n".join([*values, *(file.read_text(encoding="utf-8") for file in files if file not in tables)])


@given(worlds(), st.sampled_from(["c0", "c1", "n0", "n1"]), st.data())
@settings(max_examples=8)
def test_whatever_came_when_the_lake_and_its_features_are_those_of_a_market_without_them(
    world: list[Ingest], key: str, draw: st.DataObject
) -> None:
    other = [Ingest(one.read_at, without(one.notice, key), without(one.bid, key)) for one in world]
    keys = {"company_id": {key}} if key.startswith("c") else {"notice_id": {key}}
    erased_after = draw.draw(st.integers(1, len(world)), label="erased after")
    with tempfile.TemporaryDirectory() as folder:
        one, never = Path(folder) / "one", Path(folder) / "never"
        for upto in range(1, len(world) + 1):
            write(one, world if upto <= erased_after else [*world[:erased_after], *other[erased_after:]], upto)
            write(never, other, upto)
            if upto == erased_after:
                build_features(Config(home=str(one)))
                erase_from_lake(Config(home=str(one)), keys)
            for home in (one, never):
                build_features(Config(home=str(home)))
            require_intact(one / "lake")
            if upto >= erased_after:
                assert seen(one) == seen(never)
                for table in EVENT_TIMES.keys() - {"company_state"}:  # of which each build has its own
                    assert read(one, table, "ORDER BY ALL") == read(never, table, "ORDER BY ALL"), table


def test_nothing_says_their_key_and_no_later_ingest_brings_them_back(tmp_path):
    config = config_of(tmp_path, bid=[*BIDS[:30], bid(19, company_id=KEY, amount=-1.0)])
    ingest(config, now=NOW)
    assert KEY in bytes_of(tmp_path, "quarantine")
    assert erase_from_lake(config, GONE) == {"notice": 0, "company": 1, "bid": 10}
    assert KEY not in bytes_of(tmp_path, "lake", "quarantine")

    ingest(config_of(tmp_path), now=NOW + DAY)  # still given, with bids that are new
    ingest(config_of(tmp_path, company=[company(company_id=each, region="South") for each in IDS]), now=NOW + 2 * DAY)
    ingest(config_of(tmp_path, bid=[*BIDS[:59], bid(19, company_id=f" {KEY} ", amount=-1.0)]), force=True)
    assert KEY not in bytes_of(tmp_path, "lake", "quarantine")
    assert {by for (by,) in lake(tmp_path, "lake_bid", "company_id")} == {"c0", "c2"}


def test_a_notice_goes_with_the_bids_on_it(tmp_path):
    config = config_of(tmp_path)
    ingest(config, now=NOW)
    assert erase_from_lake(config, {"notice_id": {"n13", "n14"}}) == {"notice": 2, "company": 0, "bid": 6}
    assert ingest(config_of(tmp_path, bid=[*BIDS, bid(13, 4)]), now=NOW + DAY)["tables"]["bid"]["quarantined"] == 0
    assert "n13" not in bytes_of(tmp_path, "lake", "quarantine")


def test_the_last_reading_stays_what_it_was_also_where_it_brought_nothing(tmp_path):
    config = config_of(tmp_path)
    ingest(config, now=NOW)
    ingest(config, now=NOW + DAY)
    erase_from_lake(config, GONE)
    manifest = read_manifest(tmp_path / "lake")
    assert newest_reading(tmp_path, manifest)["read_at"] == (NOW + DAY).isoformat()
    facts = {
        name: (table["rows"], table["range"]["known_at" if name != "notice" else "published_at"][1])
        for name, table in manifest["tables"].items()
    }
    assert facts["bid"] == (40, "2024-01-30 09:00:00+00")
    late = ingest(config_of(tmp_path, bid=[*BIDS, bid(0, 7)]), now=NOW + 2 * DAY)
    assert late["ingests"][-1]["came"]["bid"]["late"] == 1


def test_to_erase_twice_changes_nothing_the_second_time(tmp_path):
    config = config_of(tmp_path)
    ingest(config, now=NOW)
    erase_from_lake(config, GONE)
    before = read_manifest(tmp_path / "lake")
    assert erase_from_lake(config, GONE) == {"notice": 0, "company": 0, "bid": 0}
    assert read_manifest(tmp_path / "lake") == before


@pytest.mark.parametrize("step", ["take_in", "write_json", "sweep_unnamed", "_erase_quarantined"])
def test_stopped_anywhere_the_lake_is_the_old_or_the_new_one_and_the_next_call_completes_it(
    tmp_path, monkeypatch, step
):
    config = config_of(tmp_path, bid=[*BIDS, bid(company_id=KEY, notice_id="nowhere")])
    ingest(config, now=NOW)
    before, rows = read_manifest(tmp_path / "lake"), seen(tmp_path)

    def stopped(*_: object) -> None:
        raise SystemError

    with monkeypatch.context() as patched:
        patched.setattr(erase, step, stopped)
        with pytest.raises(SystemError):
            erase_from_lake(config, GONE)
    require_intact(tmp_path / "lake")
    if step in ("take_in", "write_json"):
        assert (read_manifest(tmp_path / "lake"), seen(tmp_path)) == (before, rows)
    erase_from_lake(config, GONE)
    assert KEY not in bytes_of(tmp_path, "lake", "quarantine")
    assert not [file for file in tmp_path.rglob("*") if file.name.endswith((".partial", ".partial.d"))]


def test_a_company_may_be_taken_in_again_and_is_known_from_then_on(tmp_path):
    config = config_of(tmp_path)
    ingest(config, now=NOW)
    erase_from_lake(config, GONE)
    with pytest.raises(InputMissing, match=r"not erased from .*: c2"):
        take_in_again(config, {"company_id": {KEY, "c2"}})
    take_in_again(config, GONE)
    assert ingest(config, now=NOW + DAY)["ingests"][-1]["came"]["bid"]["late"] == 20
    assert lake(tmp_path, "lake_company", "known_at", f"WHERE company_id = '{KEY}'") == [(NOW + DAY,)]


def test_nobody_is_erased_while_an_ingest_is_at_work_nor_from_a_damaged_lake(tmp_path):
    config = replace(config_of(tmp_path), wait_seconds=0)
    with pytest.raises(InputMissing, match="no lake"):
        erase_from_lake(config, GONE)
    ingest(config, now=NOW)
    with one_job_at_a_time(tmp_path, "ingest", 0), pytest.raises(Interrupted, match="another ingest job"):
        erase_from_lake(config, GONE)
    (tmp_path / "lake" / "bid" / "000001.parquet").write_bytes(b"")
    with pytest.raises(ContractError, match="is damaged"):
        erase_from_lake(config, GONE)
