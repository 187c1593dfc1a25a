from bidrec.intact import is_whole
from bidrec.sealed import write_manifest


def test_a_box_is_whole_while_its_files_are_those_of_its_manifest_however_often_that_was_written(tmp_path):
    assert not is_whole(tmp_path)
    (tmp_path / "bid.parquet").write_bytes(b"rows")
    for _ in range(2):
        write_manifest(tmp_path)
        assert is_whole(tmp_path)
    (tmp_path / "bid.parquet").write_bytes(b"others")
    assert not is_whole(tmp_path)
