"""The lake's views, and what a kill leaves of it."""

import random
import signal
import subprocess
import sys
import time

import duckdb
import pytest

from bidrec.config import Config
from bidrec.contract import TABLES
from bidrec.errors import InputMissing
from bidrec.lake.ingest import ingest
from bidrec.lake.parts import open_lake, part_file
from bidrec.storage.intact import sweep_unnamed
from bidrec.storage.sealed import read_manifest, write_json
from bidrec.storage.sums import sha256
from tests.features.lakes import add_part, write_lake
from tests.tables import DAY, NOW, bid, company, lake, notice, write_source


def test_the_views_have_every_row_with_its_part_and_the_newest_of_each_key(home):
    write_lake(home, notice=[notice(0), notice(1)], company=[company()], bid=[bid(0), bid(1)])
    add_part(home, notice=[notice(0, title="Changed", known_at=NOW)], bid=[bid(0, amount=1.0), bid(1, 1)])
    add_part(home, bid=[bid(0, amount=2.0)])
    assert lake(home, "lake_notice", "notice_id, title, part", "ORDER BY ALL") == [
        ("n0", "Changed", 2),
        ("n0", "Road 0", 1),
        ("n1", "Road 1", 1),
    ]
    assert lake(home, "lake_notice_now", "notice_id, title", "ORDER BY ALL") == [("n0", "Changed"), ("n1", "Road 1")]
    assert lake(home, "lake_bid_now", "notice_id, company_id, amount, part", "ORDER BY ALL") == [
        ("n0", "c0", 2.0, 3),
        ("n1", "c0", 900.0, 1),
        ("n1", "c1", 900.0, 2),
    ]


def test_without_a_lake_or_with_one_that_has_no_parts_yet_it_says_what_to_run(home):
    for manifest in (None, {"files": {"notice.parquet": {}}}):
        if manifest:
            write_json(home / "lake" / "manifest.json", manifest)
        with duckdb.connect() as connection, pytest.raises(InputMissing, match="run: bidrec ingest"):
            open_lake(connection, home / "lake")


def test_only_what_no_manifest_names_is_swept_away(home):
    write_lake(home, notice=[notice()], company=[company()], bid=[bid()])
    named = {file: sha256(home / "lake" / file) for file in read_manifest(home / "lake")["files"]}
    (home / "lake" / part_file("bid", 2)).write_bytes(b"half a part")
    others = [home / "lake" / "own.csv", home / "lake" / "own" / "rows.parquet"]  # no table's
    for other in others:
        other.parent.mkdir(exist_ok=True)
        other.touch()
    sweep_unnamed(home / "lake", TABLES)
    for other in others:
        other.unlink()
    assert {str(file.relative_to(home / "lake")) for file in (home / "lake").glob("*/*")} == set(named)


INGEST = """
import sys
from datetime import datetime
from bidrec.config import Config, Source
from bidrec.lake.ingest import ingest
config = Config(home=sys.argv[1], source=Source(name=sys.argv[2], path=sys.argv[2], url=""))
print("ready", flush=True)
ingest(config, force=sys.argv[3] == "force", now=datetime.fromisoformat(sys.argv[4]))
"""


@pytest.mark.parametrize("force", ["force", "goes on"])
def test_killed_at_any_moment_the_lake_is_the_old_one_or_the_new_one_and_the_next_ingest_goes_on(tmp_path, force):
    notices, companies = [notice(number) for number in range(5)], [company(number) for number in range(400)]
    bids = [bid(of, by) for of in range(5) for by in range(400)]
    source = write_source(tmp_path / "source", notice=notices, company=companies, bid=bids[:1000])
    config = Config(home=str(tmp_path / "home"), source=source)
    ingest(config, now=NOW)
    started = time.monotonic()
    ingest(config, force=True, now=NOW)
    takes = time.monotonic() - started
    old = read_manifest(tmp_path / "home" / "lake")
    write_source(tmp_path / "source", notice=notices, company=companies, bid=bids)
    chance = random.Random(force)
    for _ in range(2):
        command = [sys.executable, "-c", INGEST, str(tmp_path / "home"), source.name, force, (NOW + DAY).isoformat()]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout
        process.stdout.readline()
        time.sleep(chance.uniform(0, takes))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        manifest = read_manifest(tmp_path / "home" / "lake")
        assert len(lake(tmp_path / "home", "lake_bid_now")) == (1000 if manifest == old else 2000)
    ingest(config, now=NOW + DAY)
    assert len(lake(tmp_path / "home", "lake_bid_now")) == 2000
    assert {path.name for path in (tmp_path / "home").iterdir()} == {".ingest.lock", "lake", "quarantine"}
