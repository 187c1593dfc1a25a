from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bidrec.model.tables import EPSILON, FusedRows, PlainRows, Rate, RowUpdate, Table, new_state

ROWS, DIM, STEPS = 9, 4, 5


def batch(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Bags of 0 to 3 items, rows repeated within a bag and between bags, and the items' weights."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([2, 0, 3, 1, 2])
    ids = torch.randint(ROWS, (int(lengths.sum()),), generator=generator)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    return ids, offsets, torch.rand(len(ids), generator=generator)


def plain(rule: str, weight: Tensor, rate: Rate) -> tuple[RowUpdate, dict[str, Tensor]]:
    state = new_state(rule, weight)
    return PlainRows(rule, weight, state, rate), state


def fused(weight: Tensor, rate: Rate) -> tuple[RowUpdate, dict[str, Tensor]]:
    state = new_state("rowwise_adagrad", weight)
    return FusedRows(weight, state["sum"], rate), state


def trained(kind: Callable[..., Any], weighted: bool) -> tuple[Tensor, dict[str, Tensor], list[Tensor]]:
    torch.manual_seed(0)
    weight, rate = torch.randn(ROWS, DIM), Rate(0.1)
    target, outputs = torch.randn(5, DIM), []
    update, state = kind(weight, rate)
    for step in range(STEPS):
        rate.learning_rate = 0.1 / (step + 1)  # the loop's schedule reaches a kernel that is built once
        ids, offsets, weights = batch(step)
        out = update(ids, offsets, weights if weighted else None)
        outputs.append(out.detach().clone())
        (out - target).square().sum().backward()
    return weight, state, outputs


@pytest.mark.parametrize("weighted", [False, True])
def test_plain_torch_moves_the_rows_as_fbgemm_does(weighted: bool) -> None:
    pytest.importorskip("fbgemm_gpu")
    in_torch, in_fbgemm = trained(partial(plain, "rowwise_adagrad"), weighted), trained(fused, weighted)
    torch.testing.assert_close(in_torch, in_fbgemm)


class TorchSparseAdam:
    """torch's own, handed a table's sparse gradient."""

    def __init__(self, weight: Tensor, rate: Rate) -> None:
        self.weight, self.rate = nn.Parameter(weight), rate
        self.optimiser = torch.optim.SparseAdam([self.weight], eps=EPSILON)
        self.weight.register_post_accumulate_grad_hook(self.move)

    def __call__(self, ids: Tensor, offsets: Tensor, weights: Tensor | None) -> Tensor:
        self.optimiser.param_groups[0]["lr"] = self.rate.learning_rate
        # Of bags, torch has no sparse gradient by weight: each item is looked up, then weighed and added up by hand.
        item_ID = functional.embedding(ids, self.weight, sparse=True)
        item_ID = item_ID if weights is None else item_ID * weights[:, None]
        bag_I = torch.arange(len(offsets) - 1).repeat_interleave(offsets.diff())
        return torch.zeros(len(offsets) - 1, DIM).index_add(0, bag_I, item_ID)

    def move(self, _weight: Tensor) -> None:
        self.optimiser.step()
        self.optimiser.zero_grad()


@pytest.mark.parametrize("weighted", [False, True])
def test_sparse_adam_moves_the_rows_as_that_of_torch_does(weighted: bool) -> None:
    ours = trained(partial(plain, "sparse_adam"), weighted)
    theirs = trained(lambda weight, rate: (TorchSparseAdam(weight, rate), {}), weighted)
    torch.testing.assert_close((ours[0], ours[2]), (theirs[0], theirs[2]))
    assert ours[1]["step"] == STEPS


def test_one_step_of_plain_torch_is_row_wise_adagrad_by_hand() -> None:
    weight, ids = torch.randn(ROWS, DIM), torch.tensor([2, 5, 2])
    before, pull = weight.clone(), torch.randn(3, DIM)
    update, state = plain("rowwise_adagrad", weight, Rate(0.1))
    out = update(ids, torch.arange(4), None)
    (out * pull).sum().backward()
    gradient = {2: pull[0] + pull[2], 5: pull[1]}
    for row in range(ROWS):
        if row not in gradient:
            assert torch.equal(weight[row], before[row])
            assert state["sum"][row] == 0
            continue
        total = gradient[row].square().mean()
        torch.testing.assert_close(state["sum"][row], total)
        torch.testing.assert_close(weight[row], before[row] - 0.1 * gradient[row] / (total.sqrt() + EPSILON))


def test_a_table_without_an_update_has_a_dense_gradient() -> None:
    table = Table(ROWS, DIM, spread=1.0, weighted=True)
    ids, offsets, weights = batch(0)
    table(ids, offsets, weights).sum().backward()
    wanted = functional.one_hot(ids, ROWS).float().T @ weights
    torch.testing.assert_close(table.weight.grad, wanted[:, None].expand(-1, DIM))
