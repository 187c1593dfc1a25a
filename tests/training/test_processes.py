"""One process alone; what two tell each other is in test_distributed.py, which starts them."""

import pytest
import torch

from bidrec.errors import DependencyDown
from bidrec.training import processes


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_before_any_work() -> None:
    with pytest.raises(DependencyDown, match="no GPU is here"), processes.joined("cuda"):
        pytest.fail("work was begun")


def test_without_torchrun_there_is_one_process_which_is_first_and_agrees_with_itself() -> None:
    with processes.joined("cpu"):
        assert (processes.size(), processes.rank(), processes.is_first()) == (1, 0, True)
        assert processes.agreed(True, False) == (True, False)
        assert processes.first(lambda: 7) == 7
