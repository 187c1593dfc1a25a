import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from pyarrow import csv

from bidrec.config import Config
from bidrec.errors import InputMissing
from bidrec.publishing import export
from bidrec.publishing.export import COLUMNS, export_file
from bidrec.publishing.recommend import Published
from jobs.recommend import recommend
from tests.publishing.versions import AS_OF, CLOSES_AT, publish

COMPANIES = [f"c{number}" for number in range(9)]
NOTICES = [f"n{number}" for number in range(6)]
OPEN = NOTICES[:4]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    publish(home, COMPANIES, NOTICES, closed=NOTICES[4:], listed=3)
    return Config(home=str(home))


def asked_one_by_one(config, direction, top):
    """(notice, company, rank, score) of every list, as `bidrec recommend` gives them."""
    published = Published(config.home_path)
    if direction == "notice":
        lists = [(n, row) for n in OPEN for row in published.companies_for(n, top)[1]]
        return [(n, row["company_id"], row["rank"], row["score"]) for n, row in lists]
    lists = [(c, row) for c in COMPANIES for row in published.notices_for(c, top)[1]]
    return [(row["notice_id"], c, row["rank"], row["score"]) for c, row in lists]


@pytest.mark.parametrize("direction", ["notice", "company"])
@pytest.mark.parametrize("top", [1, 2, 100, 10**20])
def test_the_export_is_what_recommend_says_of_each_in_order(config, tmp_path, direction, top, monkeypatch):
    monkeypatch.setattr(export, "LISTS", 3)  # so that there are several turns
    written = export_file(config, direction, top, "parquet", tmp_path / "all.parquet")
    rows = pq.ParquetFile(tmp_path / "all.parquet").read().to_pylist()
    assert [(r["notice_id"], r["company_id"], r["rank"], r["score"]) for r in rows] == asked_one_by_one(
        config, direction, top
    )
    assert written["rows"] == len(rows)
    assert {(r["run_id"], r["as_of"], r["closes_at"]) for r in rows} == {("first", AS_OF, CLOSES_AT)}
    for r in rows:
        of_notice, of_company = f"of {r['notice_id']}", f"of {r['company_id']}"
        assert [r["notice_title"], r["buyer"], r["place"]] == [
            f"{word} {of_notice}" for word in ("title", "buyer", "place")
        ]
        assert [r["company_name"], r["company_region"]] == [f"{word} {of_company}" for word in ("name", "region")]
        assert (r["value"], r["currency"]) == (1000.5, "KRW")


def test_both_formats_have_the_documented_columns_and_the_same_values(config, tmp_path):
    for file_format in ("parquet", "csv"):
        export_file(config, "notice", None, file_format, tmp_path / f"all.{file_format}")
    table = pq.ParquetFile(tmp_path / "all.parquet").read()
    assert table.column_names == list(COLUMNS)
    as_typed = csv.ConvertOptions(column_types=table.schema)
    assert csv.read_csv(tmp_path / "all.csv", convert_options=as_typed).equals(table)


def test_lists_are_read_when_their_turn_comes_and_not_before(config, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "LISTS", 2)
    batches, seen = export._batches, []

    def read(lists, columns=None):
        for batch in batches(lists, columns):
            seen.extend(["read"] * (columns is None))
            yield batch

    def written(reader, total):
        for batch in reader:
            yield batch
            seen.append("written")

    monkeypatch.setattr(export, "_batches", read)
    monkeypatch.setattr(export, "counted", written)
    export_file(config, "company", None, "csv", tmp_path / "all.csv")
    assert seen == ["read", "written"] * 5  # nine lists


def test_of_a_large_file_of_lists_little_is_held_at_a_time(tmp_path):
    lists, length = 40_000, 100
    ends = pa.array(np.arange(lists + 1, dtype=np.int32) * length)
    scores = pa.array(np.random.default_rng(1).random(lists * length, np.float32))  # which do not compress
    pq.write_table(pa.table({"scores": pa.ListArray.from_arrays(ends, scores)}), tmp_path / "lists.parquet")
    del scores
    before, held, read = pa.total_allocated_bytes(), [], 0
    for batch in export._batches(export._opened(tmp_path / "lists.parquet")):
        held.append(pa.total_allocated_bytes() - before)
        read += batch.num_rows
    assert read == lists
    assert max(held) < (tmp_path / "lists.parquet").stat().st_size / 3


def test_what_fails_halfway_leaves_the_file_as_it_was(config, tmp_path, monkeypatch):
    target = tmp_path / "all.parquet"
    target.write_text("yesterday's")

    def broken(reader, total):
        yield from reader
        raise RuntimeError("power cut")

    monkeypatch.setattr(export, "counted", broken)
    with pytest.raises(RuntimeError, match="power cut"):
        export_file(config, "notice", None, "parquet", target)
    assert target.read_text() == "yesterday's"
    assert list(tmp_path.iterdir()) == [target]


def test_who_may_read_the_file_of_yesterday_may_read_that_of_today_and_nobody_else(config, tmp_path):
    target = tmp_path / "all.csv"
    export_file(config, "notice", None, "csv", target)
    target.chmod(0o604)
    os.chown(target, -1, 12345 if os.getuid() == 0 else -1)
    before = target.stat()
    export_file(config, "notice", None, "csv", target)
    after = target.stat()
    assert after.st_ino != before.st_ino
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


def run(config, *arguments):
    return CliRunner().invoke(recommend, ["--all", *arguments], env={"BIDREC_HOME": config.home})


def test_the_command_says_what_it_wrote(config, tmp_path):
    done = run(config, "--direction", "company", "--format", "csv", "--to", str(tmp_path / "all.csv"), "--json")
    assert done.exit_code == 0, done.stderr
    said = json.loads(done.stdout)["export"]
    assert said["rows"] == len((tmp_path / "all.csv").read_text().splitlines()) - 1
    assert said["to"] == str(tmp_path / "all.csv")


def test_nothing_published_is_66_a_folder_that_cannot_be_written_73_and_half_a_question_2(config, tmp_path):
    to = ["--direction", "notice", "--format", "parquet", "--to"]
    with pytest.raises(InputMissing):
        export_file(Config(home=str(tmp_path / "empty")), "notice", None, "parquet", tmp_path / "all.parquet")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    assert run(config, *to, str(tmp_path / "file" / "all.parquet")).exit_code == 73
    assert run(config, "--direction", "notice").exit_code == 2
    assert run(config, *to, "x", "--as-of", "2025-01-01").exit_code == 2
    without_all = CliRunner().invoke(recommend, ["--notice", "n0", "--format", "csv"])
    assert without_all.exit_code == 2
