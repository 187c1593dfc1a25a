"""What `python -m benchmarks.nights` compares is alike in all but the number of parts."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from benchmarks.nights import cut, invent, use
from bidrec.config import Config, Source
from bidrec.contract import TABLES
from bidrec.features import merging
from bidrec.features.build import EVENT_TIMES, build_features
from bidrec.lake.ingest import ingest

END = datetime(2025, 6, 30)


def rows(home: Path, box: str, table: str) -> list[tuple]:
    return duckdb.sql(f"FROM '{home}/{box}/{table}/*.parquet' ORDER BY ALL").fetchall()


def test_a_home_cut_into_nights_holds_the_rows_that_it_held_in_one_part_and_goes_on_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    invent(tmp_path, 100, 3, END)
    source = Source(name="koneps", path=str(tmp_path / "source"))
    homes = [tmp_path / "once", tmp_path / "nights"]
    once, nights = (Config(home=str(home), source=source) for home in homes)
    use(tmp_path, "before")
    ingest(once, now=END.replace(tzinfo=UTC))
    build_features(once)
    shutil.copytree(homes[0], homes[1])
    monkeypatch.setattr(merging, "MOST", 8)
    cut(homes[1], [END - timedelta(days=day) for day in range(20, -1, -1)])
    assert 1 < len([*(homes[1] / "features" / "notice").iterdir()]) < 12
    assert len([*(homes[1] / "lake" / "bid").iterdir()]) > 10
    use(tmp_path, "after")
    for config in (once, nights):
        number = ingest(config, now=END.replace(tzinfo=UTC) + timedelta(hours=1))["ingest"]
        assert number == (2 if config is once else 22)
        assert build_features(config)["build"] == number  # added to, and not made from scratch
    for name in TABLES:
        assert rows(homes[0], "lake", name) == rows(homes[1], "lake", name)
    for name in EVENT_TIMES.keys() - {"company_state"}:
        assert rows(homes[0], "features", name) == rows(homes[1], "features", name)
