"""What is installed is pinned by version and by the hashes of its files."""

import re
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

FOLDER = Path(__file__).parents[1] / "requirements"
PINNED = re.compile(r"[a-z0-9.-]+(\[[a-z0-9, -]+\])?==\S+")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def entries(text: str) -> list[str]:
    """Requirements with what is said of them, one a line."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("wanted", sorted(FOLDER.glob("*.in")), ids=lambda file: file.name)
def test_every_requirement_has_one_version_and_hashes(wanted: Path) -> None:
    found = entries(wanted.with_suffix(".txt").read_text(encoding="utf-8"))
    assert found
    for entry in found:
        requirement, *hashes = re.split(r"\s+(?=--hash)", entry.strip())
        assert PINNED.fullmatch(requirement), entry
        assert hashes
        assert all(HASH.fullmatch(one) for one in hashes)


def test_torch_has_no_pin_of_its_own_since_its_wheel_is_the_machines_choice() -> None:
    names = {
        entry.split("==")[0] for file in FOLDER.glob("*.txt") for entry in entries(file.read_text(encoding="utf-8"))
    }
    assert "torch" not in names
    assert {"torchrec", "fbgemm-gpu", "fbgemm-gpu-cpu"} <= names


def test_what_torch_needs_is_pinned_too_so_that_pip_brings_nothing_with_it_but_nvidias() -> None:
    locked = {re.split(r"[\[=]", entry)[0] for entry in entries((FOLDER / "runtime.txt").read_text(encoding="utf-8"))}
    needed = {Requirement(one) for one in requires("torch") or ()}
    plain = {one.name.replace("_", "-").lower() for one in needed if one.marker is None or one.marker.evaluate()}
    assert {name for name in plain if not name.startswith(("nvidia-", "cuda-", "triton"))} <= locked
