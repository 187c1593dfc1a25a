"""The files of a view, found while the folder that they lie in is replaced."""

import os
import threading

import duckdb
import pytest

from bidrec.asof.files import find
from bidrec.errors import InputMissing
from bidrec.storage import whole

SEGMENTS = 100
REPLACED = 8


def replace(folder, build):
    """Give all segments other names, as when small ones are put together."""
    before = sorted(folder.iterdir())
    with whole.whole_folder(folder) as staging:
        for segment, file in enumerate(before):
            os.link(file, staging / f"{build:06d}-{segment}.parquet")


def test_the_files_of_a_folder_that_is_replaced_meanwhile_are_found_again(tmp_path, monkeypatch):
    monkeypatch.setattr(whole, "LISTING_S", 0.2)  # as it is outside of tests
    folder = tmp_path / "company_activity"
    folder.mkdir()
    for segment in range(SEGMENTS):
        duckdb.execute(f"COPY (SELECT 1 AS x) TO '{folder}/{segment}.parquet'")
    replacing = threading.Thread(target=lambda: [replace(folder, build) for build in range(REPLACED)])
    replacing.start()
    found = set()
    with duckdb.connect() as connection:
        while replacing.is_alive():
            found.add(find(connection, "activity", f"{folder}/*.parquet").names)
    replacing.join()
    assert {len(names) for names in found} == {SEGMENTS}
    assert len(found) > 1


def test_a_file_that_cannot_be_read_is_missing(tmp_path):
    (tmp_path / "1.parquet").write_text("no Parquet")
    with duckdb.connect() as connection, pytest.raises(InputMissing, match="activity: cannot read "):
        find(connection, "activity", f"{tmp_path}/*.parquet")
