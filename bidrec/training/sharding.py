"""Embedding tables too large for a copy in every process: each holds a part, by TorchRec's planner, its
DistributedModelParallel and its kernels.

Serves  the loop and the checkpoints: what is saved holds whole tables, from which any number of processes goes on

By size: a table up to training.shard_tables_above_mb has its copies (bidrec.model.shared_rows); a larger one is split
row-wise, each process holding a range of its rows. Only where as many larger ones of one size fall to each process, as
members' tables may, they are placed table-wise, each whole in one process: less travels, and no process holds more.
Row-wise Adagrad moves a row where it lies, in the backward pass.
"""

import os
from collections.abc import Iterable
from typing import Any

import torch
from fbgemm_gpu.split_embedding_configs import EmbOptimType
from torch import Tensor, nn
from torch.distributed import ReduceOp, all_reduce
from torchrec import EmbeddingBagCollection, KeyedJaggedTensor
from torchrec.distributed.comm_ops import set_gradient_division
from torchrec.distributed.embedding_types import EmbeddingComputeKernel
from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.distributed.planner import EmbeddingShardingPlanner, Topology
from torchrec.distributed.planner.storage_reservations import FixedPercentageStorageReservation
from torchrec.distributed.planner.types import PlannerError
from torchrec.distributed.types import ParameterSharding, ShardingType

from bidrec.errors import DependencyDown
from bidrec.model.adam import EPSILON
from bidrec.model.row_rules import State
from bidrec.model.tables import ROWS, Rate, Table, each_alone
from bidrec.operations import log, machine
from bidrec.training import distributed, processes


def shard_tables(model: nn.Module, above_mb: float, device: torch.device) -> None:
    """Leave this process its part of each table of more than `above_mb` million bytes; 0, or one process: of none.

    The model is still on the host, so that a device never holds a whole table. Raises DependencyDown (69) where all
    devices together have too little memory, or are GPUs and fbgemm is not built for these.
    """
    if not above_mb or processes.size() == 1:
        return
    if device.type == "cuda":
        _need_build_for_gpus()
        device = torch.device("cuda", torch.cuda.current_device())
    large = [table for table in _tables(model) if table.weight.nbytes > above_mb * 1e6]
    shapes = [table.weight.shape for table in large]
    even = [shapes.count(shape) % processes.size() == 0 for shape in shapes]
    for kind, whole in ((ShardingType.TABLE_WISE, True), (ShardingType.ROW_WISE, False)):
        tables = [table for table, is_even in zip(large, even, strict=True) if is_even == whole]
        if tables:
            _shard(tables, _Sharder(kind), device)
            log.get("train").info("tables are sharded", tables=len(tables), kind=kind.value)


def _need_build_for_gpus() -> None:
    if not torch._C._dispatch_has_kernel_for_dispatch_key("fbgemm::permute_2D_sparse_data", "CUDA"):
        raise DependencyDown(
            "sharded tables on GPUs need fbgemm's build for CUDA, and the one here is for CPUs",
            hint="install it (`make setup DEVICE=cuda`), or set training.shard_tables_above_mb to 0",
        )


def numbers(model: nn.Module) -> int:
    """How many numbers are learned, those in other processes included."""
    own = sum(parameter.numel() for parameter in model.parameters())
    return own + sum((sum(rows_of) - len(weight)) * weight.shape[1] for weight, rows_of in _sharded(model))


def rows_by_name(model: nn.Module) -> dict[str, list[int]]:
    """The names, in the model's state, of the tables that are sharded: how many rows each process holds of them."""
    rows_of = {id(weight): rows for weight, rows in _sharded(model)}
    return {name: rows_of[id(value)] for name, value in model.named_parameters() if id(value) in rows_of}


def whole_tables(model: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of `model` with whole tables, in the first process; every one must call it."""
    rows_of = rows_by_name(model)
    return {
        name: distributed.whole(value, rows_of[name]) if name in rows_of else value for name, value in weights.items()
    }


class ShardedRows:
    """A table's RowUpdate over rows that lie in several processes, which must all look up as often as the others, with
    gradients or without."""

    def __init__(self, table: Table, bags: Any, place: ParameterSharding, device: torch.device) -> None:
        self.bags = bags  # TorchRec's sharded collection, with weights of its own
        self.rate = Rate(0.0)
        self.rows_of = [0] * processes.size()
        for part in place.sharding_spec.shards:
            self.rows_of[part.placement.rank()] = part.shard_sizes[0]
        own = distributed.own_rows(table.weight.detach(), self.rows_of)
        self.weight = _memory(self.bags.state_dict().values(), torch.empty_like(own[:0], device=device))
        self.weight.copy_(own)
        self.sum = _memory(_momenta(self.bags), self.weight.new_zeros(len(own)))

    def remember(self, state: State, rate: Rate) -> None:
        """Learn at `rate`, from the sums in `state` on, which are then changed in place."""
        self.rate = rate
        self.sum.copy_(state["sum"])
        state["sum"] = self.sum

    def __call__(self, ids: Tensor, offsets: Tensor | None, weights: Tensor | None) -> Tensor:
        offsets = each_alone(ids) if offsets is None else offsets
        for parameters in self.bags.fused_optimizer.param_groups:
            parameters["lr"] = self.rate.learning_rate
        self.bags.fused_optimizer.step()  # moves nothing: the kernel is told the rate
        bags = len(offsets) - 1
        # gloo exchanges equal parts only: bags without rows make up for what others have more.
        most = torch.tensor(bags)
        all_reduce(most, ReduceOp.MAX)
        padded = torch.cat([offsets, offsets[-1:].expand(int(most) - bags)])
        sums: Tensor = self.bags(KeyedJaggedTensor([ROWS], ids, weights, offsets=padded)).wait().values()
        return sums[:bags]


class _Sharder(EmbeddingBagCollectionSharder):
    """TorchRec's, for one kind of sharding: of itself it has row-wise ones on GPUs only, though gloo can do them."""

    def __init__(self, kind: ShardingType) -> None:
        adagrad = {"optimizer": EmbOptimType.EXACT_ROWWISE_ADAGRAD, "eps": EPSILON, "learning_rate": 0.0}
        super().__init__(fused_params=adagrad)
        self.kind = kind

    def sharding_types(self, compute_device_type: str) -> list[str]:
        return [self.kind.value]

    def compute_kernels(self, sharding_type: str, compute_device_type: str) -> list[str]:
        return [EmbeddingComputeKernel.FUSED.value]


def _shard(tables: list[Table], sharder: _Sharder, device: torch.device) -> None:
    # TorchRec keeps what it shards, so that is given no memory; and it draws weights of its own.
    meta = torch.device("meta")
    shapes = nn.ModuleList(
        [EmbeddingBagCollection(table.bags.embedding_bag_configs(), table.bags.is_weighted(), meta) for table in tables]
    )
    plan = _plan(shapes, sharder, device)
    set_gradient_division(False)  # the losses of the processes add up to the batch's mean
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        # Nothing data-parallel is among them: the networks are bidrec.training.data_parallel's.
        parallel = DistributedModelParallel(
            shapes, device=device, plan=plan, sharders=[sharder], init_data_parallel=False
        )
    for (path, bags), table in zip(parallel.module.named_children(), tables, strict=True):
        table.shard(ShardedRows(table, bags, plan.plan[path][ROWS], device))


def _plan(shapes: nn.ModuleList, sharder: _Sharder, device: torch.device) -> Any:
    """Where TorchRec's planner puts each of the tables: as the first process sees it."""
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # without torchrun each process has a machine to itself
    cuda = device.type == "cuda"
    topology = Topology(
        processes.size(),
        device.type,
        hbm_cap=torch.cuda.get_device_properties(device).total_memory if cuda else None,
        ddr_cap=machine.memory() // local,
        local_world_size=local,
    )
    # Half of the memory: the best epoch's weights lie beside those that learn.
    planner = EmbeddingShardingPlanner(
        topology=topology, storage_reservation=FixedPercentageStorageReservation(0.5), stats=[], debug=False
    )

    def plan() -> Any:
        try:
            return planner.plan(shapes, [sharder])
        except PlannerError as error:
            raise DependencyDown(
                "the embedding tables do not fit into the memory of all processes together",
                hint="start more processes, on more machines or GPUs, or lower model.table_dim",
            ) from error

    return processes.first(plan)


def _memory(sharded: Iterable[Any], nothing: Tensor) -> Tensor:
    """The kernel's own memory behind TorchRec's one sharded tensor; `nothing` where this process has no rows of it."""
    parts = [part.tensor for tensor in sharded for part in tensor.local_shards()]
    return parts[0].detach() if parts else nothing


def _momenta(bags: Any) -> list[Any]:
    """Row-wise Adagrad's sums, as TorchRec's sharded tensors."""
    return [value for state in bags.fused_optimizer.state_dict()["state"].values() for value in state.values()]


def _tables(model: nn.Module) -> list[Table]:
    return [module for module in model.modules() if isinstance(module, Table)]


def _sharded(model: nn.Module) -> list[tuple[Tensor, list[int]]]:
    """This process's rows of each sharded table, and how many each process has."""
    return [(table.weight, table.sharded.rows_of) for table in _tables(model) if table.sharded]
