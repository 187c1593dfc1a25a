import duckdb
import pytest

from bidrec.config import Config
from bidrec.errors import ContractError, Interrupted
from bidrec.publishing import erase
from bidrec.publishing.erase import erase_from_published
from bidrec.publishing.recommend import Published
from bidrec.publishing.version import published_folder
from bidrec.publishing.withdrawn import versions
from bidrec.storage.intact import is_whole
from bidrec.storage.locks import one_job_at_a_time
from bidrec.storage.sealed import read_manifest
from tests.publishing.versions import publish

COMPANIES, NOTICES = ["apex", "bharat", "chola"], ["road", "bridge", "school"]
GONE = {"company_id": {"bharat"}}


def names(home, key):
    """The files of all versions that say the key, in a value."""
    files = [file for version in versions(home / "published") for file in sorted(version.glob("*.parquet"))]
    holds = "SELECT count(*) FROM read_parquet(?) AS t WHERE contains(t::VARCHAR, ?)"
    return [file.name for file in files if duckdb.execute(holds, [str(file), key]).fetchone()[0]]


def rows(home, table, columns):
    return duckdb.sql(f"SELECT {columns} FROM '{published_folder(home)}/{table}.parquet' ORDER BY 1").fetchall()


def test_everybody_else_keeps_vectors_and_lists_without_the_erased(tmp_path):
    before = publish(tmp_path, COMPANIES, NOTICES)
    vectors = rows(tmp_path, "company_embedding", "company_id, run_id, embedding")
    lists = rows(tmp_path, "notice_recommendations", "notice_id, company_ids, scores, closes_at")
    own = rows(tmp_path, "company_recommendations", "company_id, notice_ids, scores, closes_at")

    assert erase_from_published(Config(home=str(tmp_path)), GONE) == [before["version"]]
    assert names(tmp_path, "bharat") == []
    assert rows(tmp_path, "company_embedding", "company_id, run_id, embedding") == [vectors[0], vectors[2]]
    assert rows(tmp_path, "company_recommendations", "company_id, notice_ids, scores, closes_at") == [own[0], own[2]]
    left = []
    for notice, ids, scores, closes_at in lists:
        kept = [place for place, company in enumerate(ids) if company != "bharat"]
        left.append((notice, [ids[place] for place in kept], [scores[place] for place in kept], closes_at))
    assert rows(tmp_path, "notice_recommendations", "notice_id, company_ids, scores, closes_at") == left
    manifest = read_manifest(published_folder(tmp_path))
    assert is_whole(published_folder(tmp_path))
    assert manifest["rows"] == before["rows"] | {"company_embedding": 2, "company_recommendations": 2}
    assert (manifest["as_of"], manifest["run"]) == (before["as_of"], before["run"])
    assert manifest["written_at"] > before["written_at"]
    assert [row["company_id"] for row in Published(tmp_path).companies_for("road", 5)[1]] == left[1][1]


def test_a_notice_leaves_each_list_with_its_score_and_its_closing(tmp_path):
    publish(tmp_path, COMPANIES, NOTICES)
    erase_from_published(Config(home=str(tmp_path)), {"notice_id": {"bridge", "road"}})
    assert names(tmp_path, "bridge") == []
    left = rows(tmp_path, "company_recommendations", "notice_ids, len(scores), len(closes_at)")
    assert left == [(["school"], 1, 1)] * 3
    assert read_manifest(published_folder(tmp_path))["open_notices"] == 1


def test_not_even_the_withdrawn_say_the_erased_but_all_others_are_carried_on(tmp_path):
    publish(tmp_path, COMPANIES, NOTICES, run="first")
    publish(tmp_path, ["apex"], NOTICES, run="second")
    erase_from_published(Config(home=str(tmp_path)), GONE)
    publish(tmp_path, ["apex"], NOTICES, run="third")
    assert names(tmp_path, "bharat") == []
    assert rows(tmp_path, "company_embedding.withdrawn", "company_id, run_id") == [("chola", None)]


def test_stopped_before_the_old_versions_are_gone_the_next_call_deletes_them(tmp_path, monkeypatch):
    publish(tmp_path, COMPANIES, NOTICES, run="first")
    publish(tmp_path, COMPANIES, NOTICES, run="second")
    config = Config(home=str(tmp_path))

    def stopped(*_):
        raise SystemError

    with monkeypatch.context() as patched:
        patched.setattr(erase.os, "rename", stopped)
        with pytest.raises(SystemError):
            erase_from_published(config, GONE)
    erase_from_published(config, GONE)
    assert names(tmp_path, "bharat") == []
    assert len(versions(tmp_path / "published")) == 1
    assert erase_from_published(config, GONE) == []


def test_nothing_is_changed_while_a_write_back_is_at_work_nor_where_a_file_is_damaged(tmp_path):
    publish(tmp_path, COMPANIES, NOTICES)
    config = Config(home=str(tmp_path), wait_seconds=0)
    with one_job_at_a_time(tmp_path, "published", 0), pytest.raises(Interrupted, match="another published job"):
        erase_from_published(config, GONE)
    (published_folder(tmp_path) / "notices.parquet").write_bytes(b"PAR1")
    with pytest.raises(ContractError, match=r"notices\.parquet is damaged"):
        erase_from_published(config, GONE)
