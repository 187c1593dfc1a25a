"""Segments in one file hold what they held in files of their own, for everybody who reads the features or goes on."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from bidrec.config import Config
from bidrec.errors import CannotWrite, ContractError
from bidrec.features import merging
from bidrec.features.build import EVENT_TIMES, build_features
from bidrec.features.merging import MOST
from bidrec.lake.merging import LARGE
from bidrec.lake.parts import add_reading
from bidrec.storage.intact import require_intact
from bidrec.storage.sealed import read_manifest
from tests import tables
from tests.features.lakes import add_part, read, write_lake
from tests.features.worlds import Ingest, worlds, write

NEWEST = "QUALIFY known_at = max(known_at) OVER (PARTITION BY company_id)"
FIRST = tables.notice()["published_at"]


def build(home: Path, most: int) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "MOST", most)
        return build_features(Config(home=str(home)))


def rows(home: Path) -> dict[str, list[dict]]:
    """Of each table; of the states those that a build looks for."""
    return {name: read(home, name, f"{NEWEST * (name == 'company_state')} ORDER BY ALL") for name in EVENT_TIMES}


def a_day_more(home: Path, day: int) -> None:
    """A notice, a bid on it, and a company that has grown."""
    at = FIRST + day * tables.DAY
    news = {
        "notice": [tables.notice(day, known_at=at)],
        "company": [tables.company(day % 2, known_at=at, employees=float(day))],
        "bid": [tables.bid(day, day % 2, event_at=at, known_at=at)],
    }
    facts = {"read_at": (at + tables.HOUR).isoformat()}
    write_lake(home, **news, **facts) if day == 0 else add_part(home, facts, **news)


def days(home: Path, upto: int, most: int, since: int = 0) -> dict:
    for day in range(since, upto):
        a_day_more(home, day)
        manifest = build(home, most)
    return manifest


def on_disk(home: Path) -> set[str]:
    return {file.relative_to(home / "features").as_posix() for file in home.glob("features/*/*")}


@given(worlds())
@settings(max_examples=8)
def test_whatever_segments_are_put_together_the_rows_are_theirs_and_later_builds_go_on_alike(world: list[Ingest]):
    with tempfile.TemporaryDirectory() as folder:
        apart, together = Path(folder) / "apart", Path(folder) / "together"
        for upto in range(1, len(world) + 1):
            for home in (apart, together):
                write(home, world, upto)
            builds = [build(apart, MOST), build(together, 1)]
            assert builds[0]["build"] == builds[1]["build"]  # added to, and not made anew
            assert rows(together) == rows(apart)
            require_intact(together / "features")
            assert on_disk(together) == {*builds[1]["files"]}
            for name, facts in builds[1]["tables"].items():
                assert facts["rows"] == sum(one["rows"] for one in facts["segments"]) == len(read(together, name))
                assert facts["range"] == builds[0]["tables"][name]["range"]


def test_many_builds_leave_few_files_and_only_the_newest_states(tmp_path):
    apart = days(tmp_path / "apart", 14, 100)
    together = days(tmp_path / "together", 14, 4)
    assert len(apart["tables"]["bid_log"]["segments"]) == 14
    for name in EVENT_TIMES:
        assert len(together["tables"][name]["segments"]) <= 5
    assert rows(tmp_path / "together") == rows(tmp_path / "apart")
    assert len(read(tmp_path / "together", "company_state")) < len(read(tmp_path / "apart", "company_state"))


def test_a_build_that_finds_nothing_leaves_the_files_as_they_are_for_a_training_knows_its_data_by_them(tmp_path):
    a_day_more(tmp_path, 0)
    coming = tables.notice(40, known_at=tables.notice(40)["published_at"])
    add_part(tmp_path, {"read_at": (FIRST + tables.HOUR).isoformat()}, notice=[coming])
    before = days(tmp_path, 4, 9, since=1)
    add_reading(tmp_path, read_manifest(tmp_path / "lake"), read_at=(FIRST + 5 * tables.DAY).isoformat(), inputs=None)
    waiting = build(tmp_path, 1)
    assert (waiting["build"], waiting["files"]) == (before["build"] + 1, before["files"])
    a_day_more(tmp_path, 6)
    assert len(build(tmp_path, 1)["tables"]["notice"]["segments"]) == 2


def test_large_segments_stay_as_they_are(tmp_path, monkeypatch):
    days(tmp_path, 1, 2)
    monkeypatch.setattr(merging, "LARGE", 1)
    first = {path: path.stat().st_ino for path in tmp_path.glob("features/*/*.parquet")}
    assert len(days(tmp_path, 5, 2, since=1)["tables"]["notice"]["segments"]) == 5
    assert {path: path.stat().st_ino for path in first} == first
    assert LARGE > 1000


def test_a_segment_that_was_changed_since_it_was_written_is_not_put_together_with_others(tmp_path):
    before = days(tmp_path, 3, 2)
    shutil.copy(*(tmp_path / f"features/company_history/00000{n}.parquet" for n in (1, 2)))
    a_day_more(tmp_path, 3)
    with pytest.raises(ContractError, match=r"company_history/000002\.parquet is damaged"):
        build(tmp_path, 2)
    assert read_manifest(tmp_path / "features") == before


def test_a_build_that_ends_while_it_puts_segments_together_leaves_the_old_ones_and_the_next_one_goes_on(
    tmp_path, monkeypatch
):
    before = days(tmp_path, 3, 2)
    was = rows(tmp_path)
    a_day_more(tmp_path, 3)

    def full(file):
        raise CannotWrite("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(merging, "facts_of", full)
        with pytest.raises(CannotWrite):
            build(tmp_path, 2)
    assert read_manifest(tmp_path / "features") == require_intact(tmp_path / "features") == before
    assert rows(tmp_path) == was
    assert on_disk(tmp_path) == {*before["files"]}
    assert "notice/merged-000004.parquet" in build(tmp_path, 2)["files"]
