"""DuckDB within its bounds: a step that holds more than memory_limit, in a process with little memory besides."""

import json
import os

import duckdb
import pytest

from benchmarks import cgroup
from bidrec.asof.job import Limits
from bidrec.config import Config
from bidrec.sql.workspace import workspace

WORK = """
import json, sys
from bidrec.config import Config
from bidrec.sql.workspace import workspace
with workspace(Config(home=sys.argv[1], memory_limit=sys.argv[2]), "step") as (connection, folder):
    connection.execute("SET threads = 2; SET enable_progress_bar = false")
    connection.execute("CREATE TABLE rows AS SELECT random() AS a, md5(range::VARCHAR) AS b FROM range(4000000)")
    spilled = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    last = connection.execute("SELECT max(a) FROM (SELECT * FROM rows ORDER BY a, b LIMIT 3000000)").fetchall()
print(json.dumps({"spilled": spilled}))
"""


@pytest.mark.skipif(cgroup.missing() is not None, reason=str(cgroup.missing()))
def test_what_does_not_fit_memory_limit_goes_to_the_home_and_is_gone_afterwards_or_after_the_next_job(tmp_path):
    config = Config(home=str(tmp_path / "home"))
    with cgroup.limited(300 << 20) as group:
        within = group.run("-c", WORK, config.home, "100MB")
        assert within.returncode == 0, within.stderr
        assert json.loads(within.stdout)["spilled"] > 50e6
        assert list(config.home_path.iterdir()) == []
        beyond = group.run("-c", WORK, config.home, "4GB")
    assert beyond.returncode == -9  # it is memory_limit that held it back: without it, the kernel kills it
    assert list(config.home_path.glob(".step.*"))
    with workspace(config, "step") as (_, folder):
        assert sorted(config.home_path.iterdir()) == [folder.with_suffix(""), folder]  # the file is its lock


def test_of_many_small_files_nothing_stays_in_memory_once_they_are_read(tmp_path):
    """DuckDB would keep some 200 kB of each: 446 MB of 2,000 segments."""
    for number in range(20):
        file = tmp_path / f"{number}.parquet"
        duckdb.execute(f"COPY (SELECT range AS n FROM range(9)) TO '{file}' (FORMAT parquet)")
        os.utime(file, (0, 0))  # what was just written is never kept
    with workspace(Config(home=str(tmp_path / "home")), "step") as (step, _), Limits().connect() as join:
        for connection in (step, join):
            assert connection.execute(f"SELECT sum(n) FROM '{tmp_path}/*.parquet'").fetchall() == [(720,)]
            kept = "SELECT sum(memory_usage_bytes) FROM duckdb_memory() WHERE tag = 'EXTERNAL_FILE_CACHE'"
            assert connection.execute(kept).fetchall() == [(0,)]
