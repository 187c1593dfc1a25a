"""One TorchRec table for all fields of a side; its rows may learn inside the backward pass: a step costs what it reads.

A dense optimiser moves every row of a table in every step, so its cost grows with the vocabulary. Here only the rows
that a batch touches move, by one of two rules:

rowwise_adagrad  keeps one number a row: the running sum of its gradients' mean squares
sparse_adam      keeps Adam's two moments, which stand still while a row is not read (torch.optim.SparseAdam's rule)

`row_update` chooses what does it: fbgemm's fused kernel, which a CPU has for Adagrad only, plain torch elsewhere or
where fbgemm is missing, and bidrec.model.shared_rows where many processes train one model. A table of which each
process holds a part (bidrec.training.sharding) is shared before, while the model is built.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from bidrec.model.distinct import distinct, grouped, places

with warnings.catch_warnings():
    # Whoever imported Feast before has every DeprecationWarning shown, and fbgemm has a page of them.
    warnings.simplefilter("ignore", DeprecationWarning)
    from torchrec import EmbeddingBagCollection, EmbeddingBagConfig, KeyedJaggedTensor
    from torchrec.modules.embedding_configs import PoolingType

EPSILON = 1e-8
MEAN_DECAY, SQUARE_DECAY = 0.9, 0.999
"""Adam's, as torch has them."""
ROWS = "rows"
"""TorchRec's name for a collection's one table, and for its one feature."""


@dataclass
class Rate:
    """What a step's update goes by; the training loop sets it before each step. There is no weight decay: it would move
    a row by how often it is read, and fbgemm's kernel for the CPU has none."""

    learning_rate: float


RowUpdate = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""(ids, offsets, weights) -> the bags' sums, whose backward pass moves the table's rows."""


class Sharded(Protocol):
    """The RowUpdate of a table of which each process holds some rows."""

    weight: Tensor
    """(own rows, dim), which the updates change in place."""
    rows_of: list[int]
    """How many rows each process holds, one after the other."""

    def remember(self, state: "State", rate: Rate) -> None: ...

    def __call__(self, ids: Tensor, offsets: Tensor, weights: Tensor | None) -> Tensor: ...


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

    def forward(self, ids: Tensor, offsets: Tensor, weights: Tensor | None = None) -> Tensor:
        """(bags, dim) float32: bag i is the (weighted) sum of the rows `ids[offsets[i]:offsets[i + 1]]`, all int64."""
        if self.update is not None and (self.sharded or torch.is_grad_enabled()):
            return self.update(ids, offsets, weights)
        if torch.is_grad_enabled() and self.weight.requires_grad:
            found: Tensor = _DenseLookup.apply(self.weight, ids, offsets, weights)
            return found
        if self.weight.dtype != torch.float32 or len(offsets) == 1:  # TorchRec cannot look up no bag at all
            return _bags(self.weight, ids, offsets, weights)
        return self.bags(KeyedJaggedTensor([ROWS], ids, weights, offsets=offsets)).values()

    def halve(self) -> None:
        """From here on keep the weights in bfloat16. The updates need a rule: a dense gradient's steps would round to
        nothing."""
        self.bags.embedding_bags[ROWS].weight = nn.Parameter(self.weight.detach().bfloat16())


State = dict[str, Tensor]
"""What a rule remembers of a table between steps, changed in place."""


def new_state(rule: str, weight: Tensor) -> State:
    """Of a table `weight` (R, D) that has not learned yet: float32, whatever the weights are."""
    zeros = partial(torch.zeros_like, dtype=torch.float32)
    if rule == "rowwise_adagrad":
        return {"step": torch.zeros(()), "sum": zeros(weight[:, 0])}
    return {"step": torch.zeros(()), "mean": zeros(weight), "square": zeros(weight)}


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


def rowwise_adagrad(weight: Tensor, state: State, learning_rate: float, rows: Tensor, gradient_RD: Tensor) -> None:
    """Move the `rows` (R,) of `weight` by the sums of their gradients: the same ones for a row that is there twice."""
    total_R = state["sum"][rows] + gradient_RD.square().mean(1)
    state["sum"][rows] = total_R
    _add(weight, rows, gradient_RD * (-learning_rate / (total_R.sqrt() + EPSILON))[:, None])


def sparse_adam(weight: Tensor, state: State, learning_rate: float, rows: Tensor, gradient_RD: Tensor) -> None:
    """Move the `rows` (R,) of `weight`, as above, by their moments, corrected for their start by the table's steps."""
    step = state["step"].add_(1).item()
    mean_RD = state["mean"].index_select(0, rows).lerp_(gradient_RD, 1 - MEAN_DECAY)
    square_RD = state["square"].index_select(0, rows).mul_(SQUARE_DECAY)
    square_RD.addcmul_(gradient_RD, gradient_RD, value=1 - SQUARE_DECAY)
    _put(state["mean"], rows, mean_RD)
    _put(state["square"], rows, square_RD)
    size = learning_rate * (1 - SQUARE_DECAY**step) ** 0.5 / (1 - MEAN_DECAY**step)
    _add(weight, rows, mean_RD.div_(square_RD.sqrt_().add_(EPSILON)).mul_(-size))


def _put(table: Tensor, rows: Tensor, value_RD: Tensor) -> None:
    """Write rows (R,) of float32. torch copies them number by number: in half the time, if four are one."""
    if table.shape[1] % 4 == 0:
        table, value_RD = table.view(torch.complex128), value_RD.view(torch.complex128)
    table.index_copy_(0, rows, value_RD)


def _add(weight: Tensor, rows: Tensor, change_RD: Tensor) -> None:
    """Add float32 to the `rows`, once to one that is there twice; weights of half the digits are rounded by chance."""
    if weight.dtype == torch.float32 and weight.device.type == "cpu":
        weight.index_add_(0, rows, change_RD)  # there are none twice
        return
    moved_RD = weight.index_select(0, rows).float() + change_RD
    weight.index_copy_(0, rows, moved_RD if weight.dtype == torch.float32 else stochastically_rounded(moved_RD))


def stochastically_rounded(value: Tensor) -> Tensor:
    """float32 to one of its two neighbours in bfloat16, the nearer the likelier, so that the mean is the value itself.

    Rounded to the nearest, a change below a 256th of a weight would always be lost (Gupta et al., Deep Learning with
    Limited Numerical Precision, 2015). A bfloat16 is a float32's upper half: a random lower half carries, or does not.
    """
    bits = value.contiguous().view(torch.int32)
    carried = bits + torch.randint_like(bits, 1 << 16)
    return (carried & -(1 << 16)).view(torch.float32).bfloat16()


RULES = {"rowwise_adagrad": rowwise_adagrad, "sparse_adam": sparse_adam}


class PlainRows:
    """A rule in plain torch, on any device."""

    def __init__(self, rule: str, weight: Tensor, state: State, rate: Rate) -> None:
        self.rule, self.weight, self.state, self.rate = RULES[rule], weight, state, rate
        # Autograd enters a function only where an input asks for gradients; the weights must not get a dense one.
        self.entry = torch.zeros((), device=weight.device, requires_grad=True)

    def __call__(self, ids: Tensor, offsets: Tensor, weights: Tensor | None) -> Tensor:
        return _PlainLookup.apply(self.entry, self, ids, offsets, weights)

    def move(self, ids: Tensor, gradient_ID: Tensor) -> None:
        """Update the rows `ids` (I,), repeated or not, by the gradients (I, D) of the items looked up."""
        sums = summed if ids.device.type == "cpu" else each_summed
        self.move_rows(*sums(ids, gradient_ID))

    def move_rows(self, rows: Tensor, gradient_RD: Tensor) -> None:
        """By the sums of their gradients."""
        self.rule(self.weight, self.state, self.rate.learning_rate, rows, gradient_RD)


def summed(ids: Tensor, gradient_ID: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct ids (R,) and the sums of their gradients (R, D)."""
    rows, place, _ = distinct(ids)
    return rows, gradient_ID.new_zeros(len(rows), gradient_ID.shape[1]).index_add_(0, place, gradient_ID)


def each_summed(ids: Tensor, gradient_ID: Tensor) -> tuple[Tensor, Tensor]:
    """The ids as they are, each with the sum (I, D) of all its gradients: a GPU is not waited for."""
    place = places(ids)
    return ids, torch.zeros_like(gradient_ID).index_add_(0, place, gradient_ID)[place]


class _PlainLookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, entry: Tensor, rows: PlainRows, ids: Tensor, offsets: Tensor, weights: Any) -> Tensor:
        ctx.rows, ctx.weighted = rows, weights is not None
        ctx.save_for_backward(ids, offsets, *([] if weights is None else [weights]))
        return _bags(rows.weight, ids, offsets, weights)

    @staticmethod
    def backward(ctx: Any, gradient_BD: Tensor) -> tuple[None, ...]:  # type: ignore[override]
        ids, offsets, *weights = ctx.saved_tensors
        ctx.rows.move(ids, _of_items(gradient_BD, ids, offsets, weights))
        return (None,) * 5


class _DenseLookup(torch.autograd.Function):
    """A lookup with a gradient for the whole table. torch's own backward pass does the same, one id after another."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor, offsets: Tensor, weights: Tensor | None) -> Tensor:
        ctx.rows = len(weight)
        ctx.save_for_backward(ids, offsets, *([] if weights is None else [weights]))
        return _bags(weight, ids, offsets, weights)

    @staticmethod
    def backward(ctx: Any, gradient_BD: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        ids, offsets, *weights = ctx.saved_tensors
        if gradient_BD.device.type != "cpu":
            gradient_RD = gradient_BD.new_zeros(ctx.rows, gradient_BD.shape[1])
            gradient_RD.index_add_(0, ids, _of_items(gradient_BD, ids, offsets, weights))
            return gradient_RD, None, None, None
        bags = torch.arange(len(gradient_BD))
        bag_I = bags.repeat_interleave(offsets.diff(), output_size=len(ids))
        # The other way round: each row is the sum of the gradients of the bags that it is in. (A GPU would leave a row
        # to one thread, and some rows are in every bag.)
        by_row, begin = grouped(ids, ctx.rows)
        return _bags(gradient_BD, bag_I[by_row], begin, weights[0][by_row] if weights else None), None, None, None


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

    def __call__(self, ids: Tensor, offsets: Tensor, weights: Tensor | None) -> Tensor:
        self.kernel.set_learning_rate(self.rate.learning_rate)
        return self.kernel(ids, offsets, weights)


def _of_items(gradient_BD: Tensor, ids: Tensor, offsets: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """(I, D) the gradients of the items in the bags."""
    gradient_ID = gradient_BD.repeat_interleave(offsets.diff(), dim=0, output_size=len(ids))
    return gradient_ID * weights[0][:, None] if weights else gradient_ID


def _bags(weight: Tensor, ids: Tensor, offsets: Tensor, weights: Tensor | None) -> Tensor:
    weights = None if weights is None else weights.to(weight.dtype)
    return functional.embedding_bag(
        ids, weight, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
    ).float()
