import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from bidrec.model.adam import EPSILON
from bidrec.model.row_rules import new_state, sparse_adam, stochastically_rounded
from bidrec.model.tables import (
    FusedRows,
    PlainRows,
    Rate,
    Read,
    RowUpdate,
    Table,
    each_summed,
    row_update,
    summed,
)

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


def trained(
    kind: Callable[..., Any], weighted: bool, device: torch.device | None = None
) -> tuple[Tensor, dict[str, Tensor], list[Tensor]]:
    torch.manual_seed(0)
    weight, rate = torch.randn(ROWS, DIM, device=device), Rate(0.1)
    target, outputs = torch.randn(5, DIM, device=device), []
    update, state = kind(weight, rate)
    for step in range(STEPS):
        rate.learning_rate = 0.1 / (step + 1)  # the loop's schedule reaches a kernel that is built once
        ids, offsets, weights = (value.to(device) for value in batch(step))
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


def test_gradients_as_small_as_epsilon_move_a_row_as_those_of_torch_do() -> None:
    """At first torch's epsilon counts for thirty times as much as that of Adam's kernel."""
    weight, gradient_RD = torch.zeros(ROWS, DIM), EPSILON * torch.randn(ROWS, DIM)
    theirs = nn.Parameter(weight.clone())
    optimiser = torch.optim.SparseAdam([theirs], lr=0.01, eps=EPSILON)
    state = new_state("sparse_adam", weight)
    for _ in range(3):
        sparse_adam(weight, state, 0.01, torch.arange(ROWS), gradient_RD)
        theirs.grad = gradient_RD.to_sparse(1)
        optimiser.step()
    torch.testing.assert_close(weight, theirs.detach(), rtol=1e-4, atol=0)


@given(st.floats(-(2.0**60), 2.0**60, width=32).filter(lambda value: value == 0 or abs(value) > 2.0**-60))
def test_rounding_by_chance_gives_a_neighbour_and_on_average_the_value(value: float) -> None:
    many = torch.full((20_000,), value)
    rounded = stochastically_rounded(many)
    assert rounded.dtype == torch.bfloat16
    gap = abs(value) / 128  # the distance of neighbours, at most
    assert ((rounded.double() - value).abs() <= gap).all()
    assert len(rounded.unique()) <= 2
    assert abs(float(rounded.double().mean()) - value) <= gap * 5 / 20_000**0.5 / 2


@pytest.mark.parametrize("rule", ["rowwise_adagrad", "sparse_adam"])
def test_a_table_of_half_the_digits_learns_what_steps_too_small_for_them_teach(rule: str) -> None:
    """A thousand steps of a ten-thousandth: rounded to the nearest, each would be lost."""
    moved = {}
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        weight, rate = torch.ones(ROWS, DIM, dtype=dtype), Rate(1e-4 if rule == "sparse_adam" else 2e-3)
        update, state = plain(rule, weight, rate)
        for _ in range(1000):
            update(torch.arange(ROWS), torch.arange(ROWS + 1), None).sum().backward()
        assert {value.dtype for value in state.values()} == {torch.float32}
        moved[dtype] = weight.float()
    assert moved[torch.float32].mean() < 0.95
    torch.testing.assert_close(moved[torch.bfloat16].mean(), moved[torch.float32].mean(), atol=0.01, rtol=0)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_halved_table_gives_nearly_the_same_sums_with_and_without_gradients(weighted: bool) -> None:
    torch.manual_seed(0)
    table = Table(ROWS, DIM, 1.0, weighted=weighted)
    ids, offsets, weights = batch(0)
    asked = (ids, offsets, weights if weighted else None)
    exact = table(*asked).detach()
    table.halve()
    table.update, _ = plain("sparse_adam", table.weight.detach(), Rate(0.0))
    with torch.no_grad():
        looked_up = table(*asked)
    assert looked_up.dtype == table(*asked).dtype == torch.float32
    assert torch.equal(looked_up, table(*asked))
    torch.testing.assert_close(looked_up, exact, atol=0.05, rtol=0.02)


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


@given(st.lists(st.integers(0, ROWS - 1), max_size=12), st.integers(0, 99))
def test_each_id_has_the_sum_of_all_its_gradients(ids: list[int], seed: int) -> None:
    id_I = torch.tensor(ids, dtype=torch.int64)
    gradient_ID = torch.randn(len(ids), DIM, generator=torch.Generator().manual_seed(seed))
    read = Read.of(id_I, None, None)
    sums = dict(zip(*(found.tolist() for found in summed(read, gradient_ID)), strict=True))
    each, sum_ID = each_summed(read, gradient_ID)
    assert each.tolist() == ids
    assert sum_ID.tolist() == [pytest.approx(sums[row], abs=1e-6) for row in ids]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["sparse_adam", "rowwise_adagrad", "fused", "dense"])
def test_without_offsets_each_id_is_a_bag_of_its_own(kind: str, weighted: bool) -> None:
    found: list[tuple[Tensor, ...]] = []
    ids, _, weights = batch(0)
    asked_ID = torch.randn(len(ids), DIM)
    for offsets in (None, torch.arange(len(ids) + 1)):
        torch.manual_seed(0)
        table = Table(ROWS, DIM, spread=1.0, weighted=weighted)
        asked = ids, offsets, weights if weighted else None
        with torch.no_grad():
            looked_up = table(*asked)
        if kind == "fused":
            pytest.importorskip("fbgemm_gpu")
            table.update, _ = fused(table.weight.detach(), Rate(0.1))
        elif kind != "dense":
            table.update, _ = plain(kind, table.weight.detach(), Rate(0.1))
        sums = table(*asked)
        (sums * asked_ID).sum().backward()
        found.append((looked_up, sums, table.weight if table.update else table.weight.grad))
    torch.testing.assert_close(*found)


def test_a_table_without_an_update_has_a_dense_gradient() -> None:
    table = Table(ROWS, DIM, spread=1.0, weighted=True)
    ids, offsets, weights = batch(0)
    table(ids, offsets, weights).sum().backward()
    wanted = functional.one_hot(ids, ROWS).float().T @ weights
    torch.testing.assert_close(table.weight.grad, wanted[:, None].expand(-1, DIM))


@given(st.lists(st.lists(st.integers(0, ROWS - 1), max_size=5), max_size=8), st.booleans(), st.integers(0, 99))
def test_a_dense_gradient_is_that_of_torch(bags: list[list[int]], weighted: bool, seed: int) -> None:
    drawn = torch.Generator().manual_seed(seed)
    ids = torch.tensor([row for bag in bags for row in bag], dtype=torch.int64)
    offsets = torch.tensor([0, *itertools.accumulate(map(len, bags))])
    weights = torch.rand(len(ids), generator=drawn) if weighted else None
    asked_BD = torch.randn(len(bags), DIM, generator=drawn)
    table = Table(ROWS, DIM, spread=1.0, weighted=weighted)
    sums = table(ids, offsets, weights)
    (sums * asked_BD).sum().backward()
    plain = table.weight.detach().clone().requires_grad_()
    wanted = functional.embedding_bag(
        ids, plain, offsets, per_sample_weights=weights, mode="sum", include_last_offset=True
    )
    (wanted * asked_BD).sum().backward()
    torch.testing.assert_close(sums, wanted)
    torch.testing.assert_close(table.weight.grad, plain.grad)


@pytest.mark.parametrize("update", [False, True])
def test_no_bag_at_all_has_no_sum_and_moves_no_row(update: bool) -> None:
    table = Table(5, 4, spread=0.1)
    before = table.weight.detach().clone()
    if update:
        weight = table.weight.detach()
        table.update = row_update("sparse_adam", weight, new_state("sparse_adam", weight), Rate(0.1))
    found = table(torch.zeros(0, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
    assert found.shape == (0, 4)
    found.sum().backward()
    assert torch.equal(table.weight, before)
    assert update or not table.weight.grad.any()
