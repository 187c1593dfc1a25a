import pytest
import torch
from torch import Tensor
from torch.nn import functional

from bidrec.model.tables import EPSILON, FusedRows, PlainRows, Rate, Table

ROWS, DIM, STEPS = 9, 4, 5


def batch(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Bags of 0 to 3 items, rows repeated within a bag and between bags, and the items' weights."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([2, 0, 3, 1, 2])
    ids = torch.randint(ROWS, (int(lengths.sum()),), generator=generator)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    return ids, offsets, torch.rand(len(ids), generator=generator)


def trained(kind: type, weighted: bool) -> tuple[Tensor, Tensor, list[Tensor]]:
    torch.manual_seed(0)
    weight, state, rate = torch.randn(ROWS, DIM), torch.zeros(ROWS), Rate(0.1)
    update, outputs = kind(weight, state, rate), []
    target = torch.randn(5, DIM)
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
    plain, fused = trained(PlainRows, weighted), trained(FusedRows, weighted)
    torch.testing.assert_close(plain[0], fused[0])
    torch.testing.assert_close(plain[1], fused[1])
    torch.testing.assert_close(plain[2], fused[2])


def test_one_step_of_plain_torch_is_row_wise_adagrad_by_hand() -> None:
    weight, state, ids = torch.randn(ROWS, DIM), torch.zeros(ROWS), torch.tensor([2, 5, 2])
    before, pull = weight.clone(), torch.randn(3, DIM)
    out = PlainRows(weight, state, Rate(0.1))(ids, torch.arange(4), None)
    (out * pull).sum().backward()
    gradient = {2: pull[0] + pull[2], 5: pull[1]}
    for row in range(ROWS):
        if row not in gradient:
            assert torch.equal(weight[row], before[row])
            assert state[row] == 0
            continue
        total = gradient[row].square().mean()
        torch.testing.assert_close(state[row], total)
        torch.testing.assert_close(weight[row], before[row] - 0.1 * gradient[row] / (total.sqrt() + EPSILON))


def test_a_table_without_an_update_has_a_dense_gradient() -> None:
    table = Table(ROWS, DIM, spread=1.0, weighted=True)
    ids, offsets, weights = batch(0)
    table(ids, offsets, weights).sum().backward()
    wanted = functional.one_hot(ids, ROWS).float().T @ weights
    torch.testing.assert_close(table.weight.grad, wanted[:, None].expand(-1, DIM))
