"""One TorchRec table for all fields of a side; its rows may learn inside the backward pass: a step costs what it reads.

A dense optimiser moves every row of a table in every step, so its cost grows with the vocabulary. Here only the rows
that a batch touches move, by a rule of bidrec.model.row_rules.

`row_update` chooses what does it: fbgemm's fused kernel, which a CPU has for Adagrad only, plain torch elsewhere or
where fbgemm is missing, and bidrec.model.shared_rows where many processes train one model. A table of which each
process holds a part (bidrec.training.sharding) is shared before, while the model is built.
"""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from bidrec.model.adam import EPSILON
from bidrec.model.distinct import distinct, grouped, places, runs
from bidrec.model.row_rules import RULES, State

with warnings.catch_warnings():
    # Whoever imported Feast before has every DeprecationWarning shown, and fbgemm has a page of them.
    warnings.simplefilter("ignore", DeprecationWarning)
    from torchrec import EmbeddingBagCollection, EmbeddingBagConfig, KeyedJaggedTensor
    from torchrec.modules.embedding_configs import PoolingType

# TorchRec's own calls have torch warn each process of them, a caller of Recommender included.
logging.getLogger("torch.fx._symbolic_trace").setLevel(logging.ERROR)

ROWS = "rows"
"""TorchRec's name for a collection's one table, and for its one feature."""


@dataclass
class Rate:
    """What a step's update goes by; the training loop sets it before each step. There is no weight decay: it would move
    a row by how often it is read, and fbgemm's kernel for the CPU has none."""

    learning_rate: float


RowUpdate = Callable[[Tensor, Tensor | None, Tensor | None], Tensor]
"""(ids, offsets, weights) -> the bags' sums, whose backward pass moves the table's rows."""


class Sharded(Protocol):
    """The RowUpdate of a table of which each process holds some rows."""

    weight: Tensor
    """(own rows, dim), which the updates change in place."""
    rows_of: list[int]
    """How many rows each process holds, one after the other."""

    def remember(self, state: State, rate: Rate) -> None: ...

    def __call__(self, ids: Tensor, offsets: Tensor | None, weights: Tensor | None) -> Tensor: ...


class Table(nn.Module):
    """(rows, dim) weights in one TorchRec table. Without an `update` its gradient is a dense one."""

    def __init__(self, rows: int, dim: int, spread: float, *, weighted: bool = False) -> None:
        super().__init__()
        config = EmbeddingBagConfig(
            name=ROWS,
            embedding_dim=dim,
            num_embeddings=rows,
            feature_names=[ROWS],
            pooling=PoolingType.SUM,
            init_fn=partial(nn.init.normal_, std=spread),
        )
        self.bags = EmbeddingBagCollection(tables=[config], is_weighted=weighted)
        self.update: RowUpdate | None = None
        self.sharded: Sharded | None = None

    def shard(self, sharded: Sharded) -> None:
        """From here on hold its rows only, under the same name, and have it look up and move those of all processes."""
        self.bags.embedding_bags[ROWS].weight = nn.Parameter(sharded.weight)
        self.update = self.sharded = sharded

    @property
    def weight(self) -> Tensor:
        """(rows, dim), the parameter itself; of a sharded table this process's rows."""
        return self.bags.embedding_bags[ROWS].weight

    def forward(self, ids: Tensor, offsets: Tensor | None = None, weights: Tensor | None = None) -> Tensor:
        """(bags, dim) float32: bag i is the (weighted) sum of the rows `ids[offsets[i]:offsets[i + 1]]`, all int64;
        without offsets it is the row `ids[i]`."""
        if self.update is not None and (self.sharded or torch.is_grad_enabled()):
            return self.update(ids, offsets, weights)
        if torch.is_grad_enabled() and self.weight.requires_grad:
            found: Tensor = _DenseLookup.apply(self.weight, ids, offsets, weights)
            return found
        offsets = each_alone(ids) if offsets is None else offsets
        if self.weight.dtype != torch.float32 or len(offsets) == 1:  # TorchRec cannot look up no bag at all
            return _bags(self.weight, ids, offsets, weights)
        return self.bags(KeyedJaggedTensor([ROWS], ids, weights, offsets=offsets)).values()

    def halve(self) -> None:
        """From here on keep the weights in bfloat16. The updates need a rule: a dense gradient's steps would round to
        nothing."""
        self.bags.embedding_bags[ROWS].weight = nn.Parameter(self.weight.detach().bfloat16())


def row_update(rule: str, weight: Tensor, state: State, rate: Rate) -> RowUpdate:
    """The rule on `weight` (R, D) and its state, both changed in place in every backward pass."""
    if torch.distributed.is_initialized():
        from bidrec.model.shared_rows import SharedRows

        return SharedRows(rule, weight, state, rate)
    if rule == "rowwise_adagrad" and weight.device.type == "cpu" and weight.dtype == torch.float32:
        try:
            return FusedRows(weight, state["sum"], rate)
        except ImportError:
            pass  # a machine with another build of fbgemm, or none
    return PlainRows(rule, weight, state, rate)


class PlainRows:
    """A rule in plain torch, on any device."""

    def __init__(self, rule: str, weight: Tensor, state: State, rate: Rate) -> None:
        self.rule, self.weight, self.state, self.rate = RULES[rule], weight, state, rate
        # Autograd enters a function only where an input asks for gradients; the weights must not get a dense one.
        self.entry = torch.zeros((), device=weight.device, requires_grad=True)

    def __call__(self, ids: Tensor, offsets: Tensor | None, weights: Tensor | None) -> Tensor:
        return _PlainLookup.apply(self.entry, self, ids, offsets, weights)

    def move(self, read: "Read", gradient_BD: Tensor) -> None:
        """Update the rows that the bags read, repeated or not, by the gradients of their sums."""
        sums = summed if gradient_BD.device.type == "cpu" else each_summed
        self.move_rows(*sums(read, gradient_BD))

    def move_rows(self, rows: Tensor, gradient_RD: Tensor) -> None:
        """By the sums of their gradients."""
        self.rule(self.weight, self.state, self.rate.learning_rate, rows, gradient_RD)


@dataclass(frozen=True)
class Read:
    """What B bags read: the ids (I,) of the rows, each one's bag (I,), and what it counts there (I,)."""

    ids: Tensor
    bag_I: Tensor | None
    """None: a bag of its own, in the ids' order."""
    weights: Tensor | None

    @classmethod
    def of(cls, ids: Tensor, offsets: Tensor | None, weights: Tensor | None) -> "Read":
        """From the bags as they are looked up."""
        if offsets is None:
            return cls(ids, None, weights)
        return cls(ids, torch.repeat_interleave(offsets.diff(), output_size=len(ids)), weights)

    def gradient_ID(self, gradient_BD: Tensor) -> Tensor:
        """Each id's own, of those of the bags' sums."""
        gradient_ID = gradient_BD if self.bag_I is None else gradient_BD[self.bag_I]
        return gradient_ID if self.weights is None else gradient_ID * self.weights[:, None]

    def sums(self, gradient_BD: Tensor, order: Tensor, begin: Tensor) -> Tensor:
        """For a CPU: (R, D) the sums of the gradients of ids that are the same, given the places of all ids in their
        order, and where in it each one begins (R + 1,). The other way round: each row is the sum of the gradients of
        the bags that it is in. (A GPU would leave a row to one thread, and some rows are in every bag.)"""
        bag_I = order if self.bag_I is None else self.bag_I[order]
        return _bags(gradient_BD, bag_I, begin, None if self.weights is None else self.weights[order])


def summed(read: Read, gradient_BD: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct ids (R,) and the sums of their gradients (R, D)."""
    if gradient_BD.device.type == "cpu":
        rows, order, begin = runs(read.ids)
        return rows, read.sums(gradient_BD, order, begin)
    rows, place, _ = distinct(read.ids)
    gradient_ID = read.gradient_ID(gradient_BD)
    return rows, gradient_ID.new_zeros(len(rows), gradient_ID.shape[1]).index_add_(0, place, gradient_ID)


def each_summed(read: Read, gradient_BD: Tensor) -> tuple[Tensor, Tensor]:
    """The ids as they are, each with the sum (I, D) of all its gradients: a GPU is not waited for."""
    place, gradient_ID = places(read.ids), read.gradient_ID(gradient_BD)
    return read.ids, torch.zeros_like(gradient_ID).index_add_(0, place, gradient_ID)[place]


class _PlainLookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, entry: Tensor, rows: PlainRows, ids: Tensor, offsets: Any, weights: Any) -> Tensor:
        ctx.rows = rows
        ctx.save_for_backward(ids, offsets, weights)
        return _bags(rows.weight, ids, offsets, weights)

    @staticmethod
    def backward(ctx: Any, gradient_BD: Tensor) -> tuple[None, ...]:  # type: ignore[override]
        ctx.rows.move(Read.of(*ctx.saved_tensors), gradient_BD)
        return (None,) * 5


class _DenseLookup(torch.autograd.Function):
    """A lookup with a gradient for the whole table. torch's own backward pass does the same, one id after another."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor, offsets: Any, weights: Any) -> Tensor:
        ctx.rows = len(weight)
        ctx.save_for_backward(ids, offsets, weights)
        return _bags(weight, ids, offsets, weights)

    @staticmethod
    def backward(ctx: Any, gradient_BD: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        read = Read.of(*ctx.saved_tensors)
        if gradient_BD.device.type == "cpu":
            return read.sums(gradient_BD, *grouped(read.ids, ctx.rows)), None, None, None
        gradient_RD = gradient_BD.new_zeros(ctx.rows, gradient_BD.shape[1])
        return gradient_RD.index_add_(0, read.ids, read.gradient_ID(gradient_BD)), None, None, None


class FusedRows:
    """Row-wise Adagrad in one kernel of fbgemm. Raises ImportError where its build for the CPU is not there."""

    def __init__(self, weight: Tensor, sum_R: Tensor, rate: Rate) -> None:
        from fbgemm_gpu import split_table_batched_embeddings_ops_common as common
        from fbgemm_gpu import split_table_batched_embeddings_ops_training as training

        self.rate = rate
        kernel = training.SplitTableBatchedEmbeddingBagsCodegen(
            [(*weight.shape, common.EmbeddingLocation.HOST, training.ComputeDevice.CPU)],
            optimizer=training.OptimType.EXACT_ROWWISE_ADAGRAD,
            pooling_mode=common.PoolingMode.SUM,
            learning_rate=rate.learning_rate,
            eps=EPSILON,
        )
        # The kernel works on the table's own memory: weights and state are saved and loaded as ever.
        kernel.weights_host = nn.Parameter(weight.detach().view(-1))
        kernel.momentum1_host = nn.Parameter(sum_R)
        self.kernel = kernel

    def __call__(self, ids: Tensor, offsets: Tensor | None, weights: Tensor | None) -> Tensor:
        self.kernel.set_learning_rate(self.rate.learning_rate)
        return self.kernel(ids, each_alone(ids) if offsets is None else offsets, weights)


def each_alone(ids: Tensor) -> Tensor:
    """(I + 1,) the offsets of bags of one id each."""
    return torch.arange(len(ids) + 1, device=ids.device)


def _bags(weight: Tensor, ids: Tensor, offsets: Tensor | None, weights: Tensor | None) -> Tensor:
    offsets = each_alone(ids) if offsets is None else offsets
    weights = None if weights is None else weights.to(weight.dtype)
    return functional.embedding_bag(
        ids, weight, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
    ).float()
