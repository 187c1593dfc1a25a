"""Two real processes, started as a user starts them, beside one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bidrec.errors import DependencyDown
from bidrec.training import distributed
from tests.training.ranks import KINDS, note_losses

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
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    done = torchrun(2, "-m", "tests.training.ranks", str(folder))
    assert done.returncode == 0, done.stderr[-5000:]
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_with_half_a_batch_each_stopped_and_resumed_have_the_losses_of_one(
    tmp_path: Path, together: Path, kind: str
) -> None:
    alone: list[float] = []
    note_losses(alone, KINDS[kind], tmp_path)
    assert len(alone) >= 200
    found = json.loads((together / "losses.json").read_text())[kind]
    assert len(found) == len(alone)
    assert found[:200] == pytest.approx(alone[:200], rel=1e-5)


def test_processes_hear_why_the_first_one_failed_and_what_any_of_them_was_asked(together: Path) -> None:
    heard = [json.loads((together / f"{rank}.json").read_text()) for rank in range(2)]
    assert [each.pop("part") for each in heard] == [[0, 1, 2, 3], [4, 5, 6]]
    assert heard[0] == heard[1]
    assert heard[0] == {"size": 2, "refusal": "no source (hint: set [source])", "agreed": [True, False]}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_before_any_work() -> None:
    with pytest.raises(DependencyDown, match="no GPU is here"), distributed.processes("cuda"):
        pytest.fail("work was begun")


def test_without_torchrun_there_is_one_process_which_is_first_and_agrees_with_itself() -> None:
    with distributed.processes("cpu"):
        assert (distributed.size(), distributed.rank(), distributed.is_first()) == (1, 0, True)
        assert distributed.agreed(True, False) == (True, False)
        assert distributed.first(lambda: 7) == 7
