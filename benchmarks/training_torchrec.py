"""TorchRec's TrainPipelineBase and TrainPipelineSparseDist over the seed's model, for benchmarks/training.py.

They get what flatters them: each batch is gathered from columns in one go, not row by row. Both are made for a GPU,
where they overlap its copies with its work; what they do on a CPU, or why they do not run there, is the remark.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torchrec import EmbeddingBagCollection, EmbeddingBagConfig, KeyedJaggedTensor
from torchrec.distributed.train_pipeline import TrainPipelineBase, TrainPipelineSparseDist
from torchrec.streamable import Pipelineable

from benchmarks.training_seed import random_batches
from bidrec.config import Model
from bidrec.model.towers import network
from bidrec.training.resident import mapped
from bidrec.training_set.arrays import Side, TrainingSet

CPU = torch.device("cpu")


@dataclass
class Pair(Pipelineable):
    """A batch of pairs: each side's numbers and its fields, feature-major."""

    dense: dict[str, Tensor]
    fields: dict[str, KeyedJaggedTensor]

    def to(self, device: torch.device, non_blocking: bool = False) -> "Pair":
        dense = {name: value.to(device, non_blocking=non_blocking) for name, value in self.dense.items()}
        return Pair(dense, {name: value.to(device, non_blocking=non_blocking) for name, value in self.fields.items()})

    def record_stream(self, stream: Any) -> None:
        for value in [*self.dense.values(), *self.fields.values()]:
            value.record_stream(stream)


class Tower(nn.Module):
    def __init__(self, name: str, schema: dict[str, Any], settings: Model) -> None:
        super().__init__()
        self.name, dim = name, settings.table_dim
        tables = [
            EmbeddingBagConfig(name=f["name"], embedding_dim=dim, num_embeddings=f["size"], feature_names=[f["name"]])
            for f in schema["attributes"]
        ]
        self.bags = EmbeddingBagCollection(tables=tables)
        width = dim * len(tables) + len(schema["dense_columns"])
        self.network = network(width, settings.hidden, settings.embedding_dim, settings.dropout)

    def forward(self, batch: Pair) -> Tensor:
        pooled = self.bags(batch.fields[self.name]).values()
        return functional.normalize(self.network(torch.cat([pooled, batch.dense[self.name]], 1)), dim=1)


class PlainModel(nn.Module):
    """(loss, scores) of a batch, as the pipelines want it."""

    def __init__(self, ts: TrainingSet, settings: Model) -> None:
        super().__init__()
        self.notice = Tower("notice", ts.schema["notice"], settings)
        self.company = Tower("company", ts.schema["profile"], settings)

    def forward(self, batch: Pair) -> tuple[Tensor, Tensor]:
        score_PP = self.notice(batch) @ self.company(batch).T
        return functional.cross_entropy(
            score_PP, torch.arange(score_PP.size(0), device=score_PP.device)
        ), score_PP.detach()


def batches(ts: TrainingSet, size: int) -> Iterator[Pair]:
    pair_notice, pair_version = mapped(ts.pair_notice, CPU), mapped(ts.pair_version, CPU)
    profile = mapped(ts.version_profile, CPU)
    for some in random_batches(len(ts.pair_notice), size):
        pair = torch.tensor(some)
        rows = {"notice": pair_notice[pair], "company": profile[pair_version[pair]]}
        sides = {"notice": ts.notice, "company": ts.profile}
        yield Pair(
            {name: mapped(side.dense, CPU).index_select(0, rows[name]) for name, side in sides.items()},
            {name: _fields(side, rows[name]) for name, side in sides.items()},
        )


def _fields(side: Side, rows: Tensor) -> KeyedJaggedTensor:
    entries = side.schema["attributes"]
    ids = mapped(side.attribute_values, CPU).view(side.rows, len(entries)).index_select(0, rows).long()
    ids = ids - torch.tensor([entry["base"] for entry in entries])
    return KeyedJaggedTensor(
        keys=[entry["name"] for entry in entries],
        values=ids.T.flatten(),
        lengths=torch.ones(ids.numel(), dtype=torch.int32),
    )


def base(
    ts: TrainingSet, settings: Model, device: torch.device, learning_rate: float, weight_decay: float
) -> TrainPipelineBase:
    model = PlainModel(ts, settings).to(device)
    return TrainPipelineBase(
        model, torch.optim.Adam(model.parameters(), lr=learning_rate, weight_decay=weight_decay), device
    )


def sparse_dist(
    ts: TrainingSet, settings: Model, device: torch.device, learning_rate: float, weight_decay: float
) -> TrainPipelineSparseDist:
    """Needs a sharded model, so a process group, of one process."""
    from torchrec.distributed import DistributedModelParallel

    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": "29531", "RANK": "0", "WORLD_SIZE": "1"}
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    if device.type == "cuda":
        device = torch.device("cuda", torch.cuda.current_device())
    model = DistributedModelParallel(PlainModel(ts, settings), device=device)
    return TrainPipelineSparseDist(
        model, torch.optim.Adam(model.parameters(), lr=learning_rate, weight_decay=weight_decay), device
    )
