from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bidrec.errors import ContractError, InputMissing
from bidrec.storage.sealed import content_of, fingerprint, read_json, read_manifest, write_manifest


def test_a_folder_without_a_manifest_is_unfinished(tmp_path):
    assert read_manifest(tmp_path / "lake") is None
    (tmp_path / "lake").mkdir()
    assert read_manifest(tmp_path / "lake") is None
    write_manifest(tmp_path / "lake", kind="lake")
    assert read_manifest(tmp_path / "lake")["kind"] == "lake"


@pytest.mark.parametrize("text", ["{half", "", "[]", "null", "\xff", "[" * 100_000])
def test_a_file_that_is_not_what_was_written_is_refused_by_name(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(ContractError, match=r"manifest\.json is damaged"):
        read_manifest(tmp_path)


def test_a_file_without_a_seal_may_be_damaged_or_old(tmp_path):
    (tmp_path / "config.json").write_text('{"config": {}}')
    with pytest.raises(ContractError, match=r"config\.json is damaged, or older than format 2") as refused:
        read_json(tmp_path / "config.json")
    assert "another home" in refused.value.hint


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0), to=st.integers(0, 255))
def test_whatever_byte_of_a_manifest_is_changed_it_says_the_same_or_is_refused(tmp_path, at, to):
    written = write_manifest(tmp_path, rows=12, split={"cutoff": None, "share": 0.25}, title="도로")
    data = bytearray((tmp_path / "manifest.json").read_bytes())
    data[at % len(data)] = to
    (tmp_path / "manifest.json").write_bytes(data)
    try:
        found = read_manifest(tmp_path)
    except ContractError:
        return
    assert found == written


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("gone"), lambda path: path.symlink_to(path)])
def test_a_manifest_that_is_a_folder_or_a_link_to_nothing_cannot_be_read(tmp_path, make):
    make(tmp_path / "manifest.json")
    with pytest.raises(InputMissing, match=r"manifest\.json"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ['{"format": 1, "kind": "lake", "files": {}}', '{"seal": {"format": 99, "sum": "?"}}'])
def test_what_an_older_or_a_newer_version_wrote_is_refused_with_a_word_on_what_to_do(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ContractError, match=r"format (1|99), .* reads format 2") as refused:
        read_manifest(tmp_path)
    assert "bidrec ingest" in refused.value.hint


files = st.dictionaries(st.sampled_from(["a", "b", "part/a"]), st.binary(max_size=3), max_size=3)


@settings(deadline=None)
@given(one=files, other=files)
def test_two_folders_have_the_same_content_exactly_if_their_files_agree(tmp_path_factory, one, other):
    assert (_content(tmp_path_factory, one) == _content(tmp_path_factory, other)) == (one == other)


def _content(tmp_path_factory, files: dict[str, bytes]) -> str:
    folder: Path = tmp_path_factory.mktemp("box")
    for name, data in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    return content_of(write_manifest(folder, at=str(folder)))  # facts beside the files do not count


def test_a_fingerprint_does_not_depend_on_the_order_of_keys():
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
