"""A training started from its set's folder: the files are read through for their sums while PyTorch is imported.

Reads   runs/ID/training_set/
Serves  the flow; either takes seconds: the imports one core, the sums all that is left of the cores and the disk
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bidrec.config import Config
from bidrec.operations import machine
from bidrec.training_set.arrays import TrainingSet


def start(
    config: Config, training_set: Path, run: Path, stop: Callable[[], bool], *, profile: bool = False
) -> dict[str, Any]:
    """`bidrec.training.loop.train` on the set in this folder. Raises what that raises, InputMissing (66) where the set
    is not finished and ContractError (65) where a file of it was changed."""
    with ThreadPoolExecutor(1, initializer=machine.give_way) as pool:
        opening = pool.submit(TrainingSet.open, training_set)
        from bidrec.training.loop import train

        ts = opening.result()
    return train(config, ts, run, stop, profile=profile)
