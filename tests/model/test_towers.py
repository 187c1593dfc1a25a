import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from bidrec.config import Model
from bidrec.model.history import History, Vectors
from bidrec.model.rows import offsets
from bidrec.model.towers import HistoryTower, TwoInputs, network
from bidrec.model.two_tower import build
from tests.model.test_rows import three_rows

SIDE = {
    "dense_columns": ["x"],
    "ages": ["t"],
    "attributes": [{"name": "method", "base": 0, "size": 3}, {"name": "flags", "base": 3, "size": 4}],
    "attribute_rows": 7,
    "text_rows": 10,
}
SCHEMA = {"notice": SIDE, "version": SIDE, "profile": SIDE}
SMALL = Model(
    embedding_dim=4, members=1, table_dim=8, hidden=(8,), company_hidden=8, dropout=0.0, half_lives=(10.0, 100.0)
)


def test_two_inputs_give_what_one_of_both_gives_and_only_the_asked_gradient() -> None:
    torch.manual_seed(0)
    layers = network(8, (6, 4), 3, dropout=0.0)
    apart = TwoInputs(*layers)
    assert list(apart.state_dict()) == list(layers.state_dict())
    learned, given = torch.randn(5, 6, requires_grad=True), torch.randn(5, 2)
    wanted = layers(torch.cat([learned, given], dim=1))
    wanted.square().sum().backward()
    gradients = [learned.grad, *(weight.grad for weight in layers.parameters())]
    learned.grad = None
    layers.zero_grad()
    found = apart(learned, given)
    found.square().sum().backward()
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close([learned.grad, *(weight.grad for weight in apart.parameters())], gradients)


@pytest.mark.parametrize("widths", [(0, 4), (4, 0)])
def test_either_of_two_inputs_may_be_empty(widths: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layers = network(4, (6,), 3, dropout=0.0)
    row = torch.randn(5, 4)
    torch.testing.assert_close(TwoInputs(*layers)(*row.split(widths, dim=1)), layers(row))


def history(rows: list[list[int]], ages: list[list[float]]) -> History:
    """Rows of notices and the bids' ages, of each company the newest first."""
    lengths = torch.tensor([len(row) for row in rows])
    flat = torch.tensor([row for of in rows for row in of], dtype=torch.int64)
    return History(flat, torch.tensor([age for of in ages for age in of]), offsets(lengths), lengths)


def company(tower: nn.Module, notices: Any, of: History) -> torch.Tensor:
    batch = three_rows().take(torch.zeros(len(of.count_B), dtype=torch.int64), as_of=86_400)
    return tower(notices, of, batch, batch, torch.zeros(len(of.count_B), dtype=torch.bool))


def through(vectors: torch.Tensor) -> Vectors:
    """Gradients pass through all of them."""
    return Vectors(vectors, vectors.detach())


def start_near_identity(tower: HistoryTower) -> None:
    for parameter in tower.network[-1].parameters():
        torch.nn.init.zeros_(parameter)


def test_before_training_a_company_is_the_decayed_mean_of_the_notices_it_bid_on() -> None:
    tower = build(SMALL, SCHEMA).company
    start_near_identity(tower)
    vectors = torch.nn.functional.normalize(torch.randn(3, 4), dim=1)
    out = company(tower, through(vectors), history([[2, 0]], [[0.0, 10.0]]))
    w10, w100 = 2.0**-1, 2.0**-0.1
    mean = (vectors[2] + w10 * vectors[0]) / (1 + w10) / 2 + (vectors[2] + w100 * vectors[0]) / (1 + w100) / 2
    torch.testing.assert_close(out[0], mean / mean.norm())


def test_a_kind_of_notice_that_the_gate_opens_weighs_more() -> None:
    tower = build(SMALL, SCHEMA).company.eval()
    start_near_identity(tower)
    vectors = torch.eye(4)[:3]
    tower.gate.data[:] = math.log(3) * torch.eye(4)[2]
    out = company(tower, through(vectors), history([[2, 0]], [[10.0, 10.0]]))
    torch.testing.assert_close(out[0], torch.tensor([1.0, 0.0, 3.0, 0.0]) / math.sqrt(10))


def test_a_company_without_history_has_a_finite_unit_vector_and_gradient() -> None:
    tower = build(SMALL, SCHEMA).company
    out = company(tower, through(torch.randn(3, 4)), history([[]], [[]]))
    torch.testing.assert_close(out.norm(dim=1), torch.ones(1))
    out[0, 0].backward()
    assert all(torch.isfinite(p.grad).all() for p in tower.parameters() if p.grad is not None)


def test_in_training_the_activity_numbers_of_a_share_of_the_companies_are_hidden_and_otherwise_of_none() -> None:
    """A company whose numbers are hidden has the vector that it has without any."""
    tower = build(replace(SMALL, fact_dropout=0.2), SCHEMA).company
    nothing = three_rows().take(torch.zeros(1_000, dtype=torch.int64), as_of=86_400)
    no_bids, has_profile_B = history([[]] * 1_000, [[]] * 1_000), torch.ones(1_000, dtype=torch.bool)
    torch.manual_seed(1)
    with torch.no_grad():
        seen, learned_from = (
            tower.train(training)(through(torch.zeros(3, 4)), no_bids, nothing, nothing, has_profile_B)
            for training in (False, True)
        )
        tower.version.attributes.weight.zero_()
        tower.version.text.weight.zero_()
        without = replace(nothing, dense_BF=torch.zeros(1_000, 1), ages_days_BT=torch.zeros(1_000, 1))
        hidden = tower.eval()(through(torch.zeros(3, 4)), no_bids, without, nothing, has_profile_B)
    assert not torch.allclose(seen[0], hidden[0], atol=1e-3)
    torch.testing.assert_close(seen, seen[:1].expand(1_000, -1))
    is_hidden = (learned_from - hidden).abs().amax(1) < 1e-5
    torch.testing.assert_close(learned_from[~is_hidden], seen[~is_hidden])
    assert abs(is_hidden.float().mean().item() - 0.2) < 0.05


def test_in_training_a_share_of_what_the_first_hidden_layer_tells_the_next_is_dropped_and_of_no_other_layer() -> None:
    layers, told = network(3, (2_000, 2_000), 4, dropout=0.4), []
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.zeros_(layer.weight)
            nn.init.ones_(layer.bias)
            layer.register_forward_hook(lambda _, given, __: told.append((given[0] == 0).float().mean().item()))
    layers.train()(torch.ones(5, 3))
    layers.eval()(torch.ones(5, 3))
    assert told == pytest.approx([0, 0.4, 0, 0, 0, 0], abs=0.03)


def test_what_stands_in_for_a_record_that_is_not_there_says_nothing() -> None:
    tower = build(SMALL, SCHEMA).company.eval()
    rows, has_profile_B = three_rows().take(torch.tensor([0, 0])), torch.tensor([False, True])
    vectors, no_bids = through(torch.zeros(3, 4)), history([[], []], [[], []])
    others = three_rows().take(torch.tensor([1, 1]))
    with torch.no_grad():
        one, other = (tower(vectors, no_bids, rows, profile, has_profile_B) for profile in (rows, others))
    assert torch.equal(one[0], other[0])
    assert not torch.allclose(one[1], other[1], atol=1e-3)


def test_gradients_reach_the_notice_tower_through_the_history() -> None:
    model = build(SMALL, SCHEMA)
    vectors = model.notice(three_rows().take(torch.tensor([0, 1, 2])))
    company(model.company, through(vectors), history([[1, 0]], [[1.0, 2.0]]))[0, 0].backward()
    assert model.notice.skip.weight.grad.abs().sum() > 0


def test_every_kind_of_model_gives_unit_vectors_also_for_one_row() -> None:
    for kind, members in (("history", 1), ("history", 3), ("static", 2)):
        model = build(Model(kind=kind, members=members, embedding_dim=4, table_dim=8, hidden=(8,)), SCHEMA).eval()
        out = model.published(model.notice(three_rows().take(torch.tensor([1]))))
        assert out.shape == (1, 4)
        torch.testing.assert_close(out.norm(dim=1), torch.ones(1))


def test_the_temperature_stays_within_its_bounds() -> None:
    model = build(SMALL, SCHEMA)
    with torch.no_grad():
        model.log_scale.fill_(50.0)
    assert model.scale.item() == 100
