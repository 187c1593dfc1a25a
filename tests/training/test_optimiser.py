from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import nn

from bidrec.config import Model, Training
from bidrec.model.two_tower import build
from bidrec.training.optimiser import Optimiser, optimiser_for, rate_share
from tests.model.test_rows import three_rows
from tests.model.test_towers import SCHEMA

SMALL = Model(kind="static", embedding_dim=4, table_dim=8, hidden=(8,), dropout=0.0)
RATES = Training(learning_rate=1e-3, table_learning_rate=1e-2)


def test_the_learning_rate_rises_then_falls_to_zero() -> None:
    shares = [rate_share(step, 100, 0.1) for step in range(100)]
    assert shares == pytest.approx([(step + 1) / 10 for step in range(10)] + [(100 - at) / 90 for at in range(10, 100)])


@pytest.mark.parametrize("warmup_share", [0.0, 1.0])
def test_without_a_warm_up_it_begins_whole_and_with_nothing_else_it_ends_so(warmup_share: float) -> None:
    shares = [rate_share(step, 4, warmup_share) for step in range(4)]
    assert shares == pytest.approx([1, 1, 2 / 3, 1 / 3] if not warmup_share else [1 / 4, 1 / 2, 3 / 4, 1])


def stepped(settings: Training, share: float, pull: float = 1.0) -> tuple[dict[str, torch.Tensor], ...]:
    """A model's weights before its first step, at this share of the rates, and by how much that moved each."""
    torch.manual_seed(1)
    model = build(SMALL, SCHEMA)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimiser = optimiser_for(model, settings)
    optimiser.set_share(share)
    (pull * model.notice(three_rows().take(torch.tensor([0, 1, 2])))[:, 0].sum()).backward()
    optimiser.step()
    return before, {name: value.detach() - before[name] for name, value in model.named_parameters()}


@pytest.mark.parametrize(("rule", "table_rate"), [("adam", 1e-3), ("sparse_adam", 1e-3), ("rowwise_adagrad", 1e-2)])
def test_the_first_step_is_as_long_as_the_share_of_its_rate_tables_learn_at_their_own(
    rule: str, table_rate: float
) -> None:
    """Adam moves each weight by its rate at first, row-wise Adagrad a row by its own, as a root of the mean square."""
    _, moved = stepped(replace(RATES, table_optimiser=rule), share=0.25)
    table = "notice.fields.attributes.bags.embedding_bags.rows.weight"
    row_R = moved.pop(table).square().mean(dim=1).sqrt()
    read = row_R[row_R > 0]
    assert len(read) >= 5
    assert read.tolist() == pytest.approx([0.25 * table_rate] * len(read), rel=0.02)
    assert moved["notice.network.3.bias"].abs().tolist() == pytest.approx([0.25 * 1e-3] * 4, rel=0.02)
    assert not moved["company.network.3.bias"].any()


def test_its_steps_are_those_of_torch_whichever_weights_have_a_gradient_and_where_it_is_loaded_between() -> None:
    """To the last bit: it calls the same kernel."""
    torch.manual_seed(0)
    ours = [nn.Parameter(torch.randn(shape)) for shape in [(5, 3), (7,), ()]]
    theirs = [nn.Parameter(weight.detach().clone()) for weight in ours]
    settings = replace(RATES, weight_decay=1e-3)
    found, wanted = Optimiser(ours, [], settings), torch.optim.Adam(theirs, 1e-3, weight_decay=1e-3, fused=True)
    for step in range(30):
        found.zero_grad()
        wanted.zero_grad()
        for at, (weight, same) in enumerate(zip(ours, theirs, strict=True)):
            if step % (at + 2):
                weight.grad = torch.randn_like(weight)
                same.grad = weight.grad.clone()
        if step == 15:
            found.load_state_dict(deepcopy(found.state_dict()))
        found.step()
        wanted.step()
        assert all(map(torch.equal, ours, theirs)), step
    steps = [int(moments["step"]) for moments in found.state_dict()["state"].values()]
    assert steps == [15, 20, 22]


@pytest.mark.parametrize("rule", ["adam", "sparse_adam"])
def test_weight_decay_pulls_the_networks_towards_zero_and_no_table_that_a_rule_moves(rule: str) -> None:
    """Where the loss asks for nothing, the decay alone is left of the gradient."""
    before, moved = stepped(replace(RATES, table_optimiser=rule, weight_decay=0.1), share=1.0, pull=0.0)
    for name, change in moved.items():
        if name.startswith("notice") and (rule == "adam" or "embedding_bags" not in name):
            torch.testing.assert_close(change, -1e-3 * before[name].sign(), rtol=0.01, atol=0, msg=name)
        else:
            assert not change.any(), name
