"""Two real processes, started as a user starts them, beside one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bidrec.training import distributed
from tests.training.ranks import KINDS, losses_of

ROOT = Path(__file__).parents[2]


def torchrun(processes: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    folder = tmp_path_factory.mktemp("together")
    done = torchrun(2, "-m", "tests.training.ranks", str(folder))
    assert done.returncode == 0, done.stderr[-5000:]
    return json.loads((folder / "losses.json").read_text())


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_with_half_a_batch_each_have_the_losses_of_one_with_all_of_it(
    tmp_path: Path, together: dict[str, list[float]], kind: str
) -> None:
    alone = losses_of(KINDS[kind], tmp_path)
    assert len(alone) >= 200
    assert together[kind][:200] == pytest.approx(alone[:200], rel=1e-5)


def test_without_torchrun_there_is_one_process_which_is_first_and_agrees_with_itself() -> None:
    with distributed.processes("cpu"):
        assert (distributed.size(), distributed.rank(), distributed.is_first()) == (1, 0, True)
        assert distributed.agreed(True, False) == (True, False)
        assert distributed.first(lambda: 7) == 7
