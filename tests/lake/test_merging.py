"""Parts in one file are what they were in files of their own, to everybody who reads the lake or what is made of it."""

import shutil
import tempfile
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.config import Config, Source
from bidrec.contract import TABLES
from bidrec.errors import CannotWrite
from bidrec.features.build import EVENT_TIMES, build_features
from bidrec.lake import merging, parts
from bidrec.lake.ingest import ingest
from bidrec.lake.merging import LARGE, MOST, put_together, too_many
from bidrec.lake.parts import KEPT, add_parts, merged_file, open_lake
from bidrec.runs import lineage
from bidrec.storage.intact import require_intact, sweep_unnamed
from bidrec.storage.sealed import read_manifest
from tests.features.lakes import read
from tests.features.worlds import Ingest, worlds, write
from tests.tables import DAY, NOW, bid, company, lake, notice, write_source

VIEWS = [
    *(f"lake_{table}{kind}" for table in TABLES for kind in ("", "_stood")),
    *("lake_notice_now", "lake_bid_now", "lake_reading"),
]
OF_THE_FILES = ("format", "kind", "ingest", "parts", "spent", "files")


def seen(home: Path) -> dict[str, list[tuple]]:
    """What a reader of the lake sees, whatever the files are."""
    return {view: lake(home, view, rest="ORDER BY ALL") for view in VIEWS}


def built(home: Path) -> dict[str, list[dict]]:
    return {table: read(home, table, "ORDER BY ALL") for table in EVENT_TIMES}


def files_of(manifest: dict, table: str) -> list[str]:
    return [part["file"] for part in manifest["parts"][table]]


def merge_some(home: Path, draw: st.DataObject) -> None:
    """Put the parts of some files of each table together, whichever they are."""
    manifest = read_manifest(home / "lake")
    merged = {}
    with duckdb.connect() as connection, tempfile.TemporaryDirectory() as staging:
        connection.execute("SET TimeZone = 'UTC'")
        for name in TABLES:
            files = draw.draw(st.sets(st.sampled_from(files_of(manifest, name))), label=name)
            parts = [part for part in manifest["parts"][name] if part["file"] in files]
            if len(files) > 1:
                (Path(staging) / name).mkdir()
                put_together(connection, home / "lake", Path(staging), manifest["ingest"], name, parts)
                merged[name] = [part["part"] for part in parts]
        facts = {key: value for key, value in manifest.items() if key not in OF_THE_FILES}
        add_parts(home / "lake", Path(staging), manifest["ingest"], {}, manifest, merged, **facts)


@given(worlds(), st.data())
@settings(max_examples=6)
def test_whatever_parts_are_put_together_the_lake_and_its_features_are_those_of_the_parts(
    world: list[Ingest], draw: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        apart, together = Path(folder) / "apart", Path(folder) / "together"
        for upto in range(1, len(world) + 1):
            for home in (apart, together):
                write(home, world, upto)
            # Only once an ingest, as ingests do: the name of a merged file is that of the ingest.
            if not any(merged_file(name, upto) in read_manifest(together / "lake")["files"] for name in TABLES):
                merge_some(together, draw)
            assert seen(together) == seen(apart)
            require_intact(together / "lake")
            builds = [build_features(Config(home=str(home))) for home in (apart, together)]
            assert builds[0]["build"] == builds[1]["build"]  # added to, and not made anew
            assert built(together) == built(apart)
            # To the byte, so that a training takes both for the same data.
            assert builds[0]["files"] == builds[1]["files"]


def source_of(folder: Path, day: int) -> Source:
    """On each day a notice and a bid more, a bid that is corrected, and a notice that is withdrawn."""
    notices = [notice(number, withdrawn_at=NOW if number < day // 2 else None) for number in range(20 + day)]
    bids = [bid(of, by, amount=900.0 + (of < day)) for of in range(20 + day) for by in range(3)]
    companies = [company(number, employees=5.0 + day // 4) for number in range(5)]
    return write_source(folder, notice=notices, company=companies, bid=bids)


def nights(home: Path, source: Path, days: range) -> None:
    for day in days:
        config = Config(home=str(home), memory_limit="500MB", source=source_of(source, day))
        ingest(config, now=NOW + day * DAY)


def test_ingests_put_small_parts_together_and_nothing_that_is_made_of_the_lake_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(merging, "FEW", 2)
    source = tmp_path / "source"
    apart, together = (
        Config(home=str(tmp_path / name), memory_limit="500MB", source=source_of(source, 0))
        for name in ("apart", "together")
    )
    for day in range(12):
        source_of(source, day)
        ingest(together, now=NOW + day * DAY)
        with monkeypatch.context() as never:
            never.setattr(merging, "FEW", 1000)
            ingest(apart, now=NOW + day * DAY)
        if day % 4 == 3:
            assert seen(together.home_path) == seen(apart.home_path)
            builds = [build_features(config) for config in (apart, together)]
            assert builds[0]["files"] == builds[1]["files"]
            assert builds[1]["build"] == day // 4 + 1
    held = read_manifest(together.home_path / "lake")
    assert len({*files_of(held, "bid")}) < 6 < len({*files_of(read_manifest(apart.home_path / "lake"), "bid")})
    assert [part | {"file": ""} for part in held["parts"]["bid"]] == [
        part | {"file": ""} for part in read_manifest(apart.home_path / "lake")["parts"]["bid"]
    ]
    assert lineage.inputs(together) == lineage.inputs(apart)


@pytest.fixture(scope="module")
def four_nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home and its source after four nights, of which two at most may lie in files of their own."""
    folder = tmp_path_factory.mktemp("nights")
    with pytest.MonkeyPatch.context() as few:
        few.setattr(merging, "FEW", 2)
        nights(folder / "home", folder / "source", range(4))
    return folder


@pytest.fixture
def home(four_nights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that home, to go on with; each night its source is written anew."""
    monkeypatch.setattr(merging, "FEW", 2)
    shutil.copytree(four_nights / "home", tmp_path / "home")
    return tmp_path / "home"


def test_who_opened_the_lake_reads_on_while_parts_are_put_together_and_the_old_files_go_in_time(home, four_nights):
    source = four_nights / "source"
    with duckdb.connect() as connection:
        open_lake(connection, home / "lake")
        count = "SELECT count(*), sum(part) FROM lake_bid"
        opened = connection.execute(count).fetchall()
        small = {*files_of(read_manifest(home / "lake"), "bid")[1:]}
        nights(home, source, range(4, KEPT))
        assert not small & {*files_of(read_manifest(home / "lake"), "bid")}
        assert connection.execute(count).fetchall() == opened
    nights(home, source, range(KEPT, KEPT + 8))
    assert not any((home / "lake" / file).exists() for file in small)


@pytest.mark.parametrize("written", range(4))
def test_a_merge_that_ends_before_the_manifest_leaves_the_lake_as_it_was_and_the_next_one_goes_on(
    home, four_nights, monkeypatch, written
):
    source = four_nights / "source"
    before, was = read_manifest(home / "lake"), seen(home)
    taken = []

    def full_after_some(*given):
        taken.append(given)
        if len(taken) > written:
            raise CannotWrite("no space left on device")
        return take_in(*given)

    with monkeypatch.context() as full:
        take_in = parts.take_in
        full.setattr(parts, "take_in", full_after_some)
        with pytest.raises(CannotWrite):
            nights(home, source, range(4, 5))
    assert read_manifest(home / "lake") == before
    assert seen(home) == was
    sweep_unnamed(home / "lake", TABLES)
    assert {file.relative_to(home / "lake").as_posix() for file in (home / "lake").glob("*/*")} == {*before["files"]}
    nights(home, source, range(4, 5))
    merged = read_manifest(home / "lake")
    assert merged_file("bid", 5) in files_of(merged, "bid")
    assert lake(home, "lake_bid", "count(*)") == [(sum(part["rows"] for part in merged["parts"]["bid"]),)]


def hours(*rows: int) -> list[dict]:
    return [{"file": f"bid/{n:06d}.parquet", "part": n, "rows": size} for n, size in enumerate(rows, start=1)]


def test_files_of_one_size_are_put_together_when_there_are_too_many_and_large_ones_never():
    few = hours(5_000, *[3] * 16)
    assert too_many(few) == []
    assert too_many([*few, {"file": "bid/000018.parquet", "part": 18, "rows": 15}]) == [
        *few[1:],
        {"file": "bid/000018.parquet", "part": 18, "rows": 15},
    ]
    assert too_many(hours(*[LARGE] * 40)) == []
    assert len(too_many(hours(*[3] * 2_000))) == MOST


def test_ten_years_of_hours_are_a_few_dozen_files_and_a_row_is_written_a_few_times():
    files: list[list[int]] = []
    written = 0
    for hour in range(20_000):
        files.append([hour, 7])
        parts = [{"file": first, "part": first, "rows": rows} for first, rows in files]
        if merged := too_many(parts):
            gone = {part["file"] for part in merged}
            rows = sum(part["rows"] for part in merged)
            written += rows
            files = [one for one in files if one[0] not in gone] + [[min(gone), rows]]
    assert len(files) < 50
    assert written < 4 * 7 * 20_000
