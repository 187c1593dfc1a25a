"""One TorchRec table for all fields of a side; its rows may learn inside the backward pass: a step costs what it reads.

A dense optimiser moves every row of a table in every step, so its cost grows with the vocabulary. Row-wise Adagrad
moves the rows a batch touches and keeps one number a row: the running sum of its gradients' mean squares.
`row_update` chooses what does it: fbgemm's fused kernel on a CPU, plain torch elsewhere or where fbgemm is missing,
and bidrec.model.shared_rows where many processes train one model.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

with warnings.catch_warnings():
    # Whoever imported Feast before has every DeprecationWarning shown, and fbgemm has a page of them.
    warnings.simplefilter("ignore", DeprecationWarning)
    from torchrec import EmbeddingBagCollection, EmbeddingBagConfig, KeyedJaggedTensor
    from torchrec.modules.embedding_configs import PoolingType

EPSILON = 1e-8
ROWS = "rows"
"""TorchRec's name for a collection's one table, and for its one feature."""


@dataclass
class Rate:
    """What a step's update goes by; the training loop sets it before each step. There is no weight decay: it would move
    a row by how often it is read, and fbgemm's kernel for the CPU has none."""

    learning_rate: float


RowUpdate = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""(ids, offsets, weights) -> the bags' sums, whose backward pass moves the table's rows."""


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

    @property
    def weight(self) -> Tensor:
        """(rows, dim), the parameter itself."""
        return self.bags.embedding_bags[ROWS].weight

    def forward(self, ids: Tensor, offsets: Tensor, weights: Tensor | None = None) -> Tensor:
        """(bags, dim) float32: bag i is the (weighted) sum of the rows `ids[offsets[i]:offsets[i + 1]]`, all int64."""
        if self.update is not None and torch.is_grad_enabled():
            return self.update(ids, offsets, weights)
        return self.bags(KeyedJaggedTensor([ROWS], ids, weights, offsets=offsets)).values()


def row_update(weight: Tensor, sum_R: Tensor, rate: Rate) -> RowUpdate:
    """Row-wise Adagrad on `weight` (R, D) and its state `sum_R` (R,), both changed in place in every backward pass."""
    if torch.distributed.is_initialized():
        from bidrec.model.shared_rows import SharedRows

        return SharedRows(weight, sum_R, rate)
    if weight.device.type == "cpu":
        try:
            return FusedRows(weight, sum_R, rate)
        except ImportError:
            pass  # a machine with another build of fbgemm, or none
    return PlainRows(weight, sum_R, rate)


class PlainRows:
    """Row-wise Adagrad in plain torch, on any device."""

    def __init__(self, weight: Tensor, sum_R: Tensor, rate: Rate) -> None:
        self.weight, self.sum_R, self.rate = weight, sum_R, rate
        # Autograd enters a function only where an input asks for gradients; the weights must not get a dense one.
        self.entry = torch.zeros((), device=weight.device, requires_grad=True)

    def __call__(self, ids: Tensor, offsets: Tensor, weights: Tensor | None) -> Tensor:
        return _PlainLookup.apply(self.entry, self, ids, offsets, weights)

    def move(self, ids: Tensor, gradient_ID: Tensor) -> None:
        """Update the rows `ids` (I,), repeated or not, by the gradients (I, D) of the items looked up."""
        rows, place = ids.unique(return_inverse=True)
        gradient_RD = gradient_ID.new_zeros(len(rows), gradient_ID.shape[1]).index_add_(0, place, gradient_ID)
        total_R = self.sum_R[rows] + gradient_RD.square().mean(1)
        self.sum_R[rows] = total_R
        self.weight.index_add_(0, rows, gradient_RD * (-self.rate.learning_rate / (total_R.sqrt() + EPSILON))[:, None])


class _PlainLookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, entry: Tensor, rows: PlainRows, ids: Tensor, offsets: Tensor, weights: Any) -> Tensor:
        ctx.rows, ctx.weighted = rows, weights is not None
        ctx.save_for_backward(ids, offsets, *([] if weights is None else [weights]))
        return _bags(rows.weight, ids, offsets, weights)

    @staticmethod
    def backward(ctx: Any, gradient_BD: Tensor) -> tuple[None, ...]:  # type: ignore[override]
        ids, offsets, *weights = ctx.saved_tensors
        gradient_ID = gradient_BD.repeat_interleave(offsets.diff(), dim=0, output_size=len(ids))
        if weights:
            gradient_ID = gradient_ID * weights[0][:, None]
        ctx.rows.move(ids, gradient_ID)
        return (None,) * 5


class FusedRows:
    """The same in one kernel of fbgemm. Raises ImportError where its build for the CPU is not there."""

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


def _bags(weight: Tensor, ids: Tensor, offsets: Tensor, weights: Tensor | None) -> Tensor:
    return functional.embedding_bag(
        ids, weight, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
    )
