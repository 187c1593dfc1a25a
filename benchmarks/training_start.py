"""How long a process takes from its start to the end of its first training step, where the training set is written.

python -m benchmarks.training_start FOLDER JSON   (the folder of a training set; when the process began, the device)
"""

import json
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import jobs  # noqa: F401  first: imports cost what they cost bidrec's own commands
from benchmarks.process import peak_mib
from benchmarks.training_recipes import STATIC, configuration
from bidrec.config import Config
from bidrec.errors import Interrupted
from bidrec.training.start import start


def main() -> None:
    folder, given = sys.argv[1:]
    print(json.dumps(started(Path(folder), json.loads(given))))


def started(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """`startup_s`: with the imports, and the set read through for its sums. `after_writing_s`: from the set's folder to
    the end of the first step where the process has read it before, as a job has that wrote it."""
    config = configuration("static", **STATIC | {"device": settings.get("device", "cpu")})
    first = first_step_at(folder, config)
    begun = time.time()
    again = first_step_at(folder, config)
    return {
        "startup_s": first - settings["began"],
        "after_writing_s": again - begun,
        "startup_peak_mib": peak_mib(),
    }


def first_step_at(folder: Path, config: Config) -> float:
    ended: list[float] = []

    def stop() -> bool:
        """Asked after each step."""
        from torch import cuda  # not before: its import is part of what is measured

        if config.training.device == "cuda":
            cuda.synchronize()
        ended.append(time.time())
        return True

    with tempfile.TemporaryDirectory(prefix="bidrec-training-") as run, suppress(Interrupted):
        start(config, folder, Path(run), stop)
    return ended[0]


if __name__ == "__main__":
    main()
