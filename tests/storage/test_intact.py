import shutil

import pytest

from bidrec.errors import ContractError
from bidrec.storage import intact
from bidrec.storage.intact import intact_tables, is_whole, require_intact
from bidrec.storage.sealed import write_manifest


def test_a_box_is_whole_while_its_files_are_those_of_its_manifest_however_often_that_was_written(tmp_path):
    assert not is_whole(tmp_path)
    (tmp_path / "bid.parquet").write_bytes(b"rows")
    for _ in range(2):
        write_manifest(tmp_path)
        assert is_whole(tmp_path)
    (tmp_path / "bid.parquet").write_bytes(b"others")
    assert not is_whole(tmp_path)


def test_a_table_without_a_file_is_damage_and_not_an_empty_table(tmp_path):
    (tmp_path / "bid").mkdir()
    (tmp_path / "bid" / "0001.parquet").write_bytes(b"rows")
    (tmp_path / "bidders").mkdir()
    (tmp_path / "bidders" / "0001.parquet").write_bytes(b"others")
    write_manifest(tmp_path)
    assert intact_tables(tmp_path, ["bid"]) == {"bid": [str(tmp_path / "bid" / "0001.parquet")]}
    with pytest.raises(ContractError, match="damaged or unfinished"):
        intact_tables(tmp_path, ["bid", "notice"])


def test_a_box_that_is_replaced_while_it_is_looked_at_is_looked_at_again(tmp_path, monkeypatch):
    for name, files in (("box", ("0001", "0002")), ("next", ("merged-0003",))):
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / f"{file}.parquet").write_bytes(b"rows")
        write_manifest(tmp_path / name)

    def after_a_replacement(files):
        if (tmp_path / "next").exists():
            shutil.rmtree(tmp_path / "box")
            (tmp_path / "next").rename(tmp_path / "box")
        return map(intact._sum_of, files)

    monkeypatch.setattr(intact, "of_each", lambda _, files: after_a_replacement(files))
    assert [*require_intact(tmp_path / "box")["files"]] == ["merged-0003.parquet"]
