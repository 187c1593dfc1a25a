"""One process alone; what two tell each other is in test_distributed.py, which starts them."""

import pytest
import torch

from bidrec.errors import DependencyDown
from bidrec.training import processes
from tests.pretend_gpu import pretend_gpu


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_before_any_work() -> None:
    with pytest.raises(DependencyDown, match="no GPU is here"), processes.joined("cuda"):
        pytest.fail("work was begun")


def test_more_processes_than_gpus_are_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    with (
        pretend_gpu(monkeypatch),
        pytest.raises(DependencyDown, match="none for process 2 of this machine"),
        processes.joined("cuda"),
    ):
        pytest.fail("work was begun")


def test_without_torchrun_there_is_one_process_which_is_first_and_agrees_with_itself() -> None:
    with processes.joined("cpu"):
        assert (processes.size(), processes.rank(), processes.is_first()) == (1, 0, True)
        assert processes.agreed(True, False) == (True, False)
        assert processes.first(lambda: 7) == 7
