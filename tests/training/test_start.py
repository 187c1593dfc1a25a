import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.training_recipes import configuration
from benchmarks.training_world import written
from bidrec.errors import ContractError, InputMissing
from bidrec.storage.sealed import read_manifest
from bidrec.training.start import start

CONFIG = configuration("static", epochs=1, table_optimiser="sparse_adam")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("world"), 0.0005)


def never() -> bool:
    return False


def test_a_training_starts_from_the_folder_of_its_set(world: Path, tmp_path: Path) -> None:
    facts = start(CONFIG, world, tmp_path, never)
    assert len(facts["curve"]) == 1
    assert read_manifest(tmp_path / "model")


def test_a_set_whose_file_was_changed_is_refused_before_any_step(world: Path, tmp_path: Path) -> None:
    file = world / "pairs" / "notice.npy"
    kept = file.read_bytes()
    file.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    try:
        with pytest.raises(ContractError, match=r"notice\.npy is damaged"):
            start(CONFIG, world, tmp_path, lambda: pytest.fail("a step was taken"))
    finally:
        file.write_bytes(kept)
    assert not list(tmp_path.iterdir())


def test_an_unfinished_set_is_missing_input(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="no finished training set"):
        start(CONFIG, tmp_path, tmp_path, never)


def test_what_comes_before_the_training_does_not_wait_for_pytorch() -> None:
    """Nor does what finds that nothing is to be trained."""
    script = (
        "import sys, bidrec.flow, bidrec.training.start, jobs.metrics_table\n"
        "from bidrec.training import processes\n"
        "with processes.joined('auto'): assert processes.first(lambda: 7) == 7\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"torch", "torchrec"}
