"""What the processes of test_on_a_gpu.py run: `torchrun ... -m tests.training.ranks_on_a_gpu FOLDER`.

Writes  FOLDER/losses.json, the losses of each training's first steps, which both processes took on pretended GPUs,
        FOLDER/RANK.txt, what each process hears of sharded tables there, and FOLDER/RANK.json, its copies of a
        bfloat16 table, of a host and of a GPU
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bidrec.errors import DependencyDown
from bidrec.model.two_tower import build
from bidrec.training import processes
from bidrec.training.sharding import shard_tables
from tests.pretend_gpu import GPU, pretend_gpu
from tests.training import ranks

STEPS = 6
KINDS = {
    name: replace(config, training=replace(config.training, epochs=1))
    for name, config in ranks.KINDS.items()
    if "sharded" not in name  # TorchRec's own kernels, which are for a real one
}


def heard_of_sharded_tables() -> str:
    try:
        shard_tables(build(ranks.SMALL, ranks.SET.schema), ranks.SHARDED.shard_tables_above_mb, GPU)
    except DependencyDown as error:
        return str(error)
    return "nothing"


def main(folder: Path) -> None:
    init, losses = torch.distributed.init_process_group, {}
    with pytest.MonkeyPatch.context() as patched, pretend_gpu(patched):
        patched.setattr(torch.distributed, "init_process_group", lambda _, **kwargs: init("gloo", **kwargs))
        patched.setattr(torch.cuda, "set_device", lambda _: None)
        patched.setattr(torch.cuda, "device_count", lambda: 2)
        with processes.joined("cuda"):
            (folder / f"{processes.rank()}.txt").write_text(heard_of_sharded_tables(), encoding="utf-8")
            copies = [ranks.half_precision_copy(device) for device in ("cpu", "cuda")]
            (folder / f"{processes.rank()}.json").write_text(json.dumps(copies), encoding="utf-8")
            for name, config in KINDS.items():
                on_it = replace(config, training=replace(config.training, device="cuda"))
                losses[name] = ranks.stopped(on_it, folder / name, STEPS)
            if processes.is_first():
                (folder / "losses.json").write_text(json.dumps(losses), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
