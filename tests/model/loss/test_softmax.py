import math

import pytest
import torch

from bidrec.model.loss.softmax import all_bidders_softmax, diagonal_softmax, multi_positive_softmax
from tests.model.loss.circle import ANGLES, COMPANIES, NOTICES, SCALE

NO_WEIGHT = torch.zeros(3)


def test_every_bidder_is_a_target_and_every_notice_weighs_the_same() -> None:
    # Notice 0 has bidders 0 and 1, notice 1 has bidder 2.
    loss = all_bidders_softmax(NOTICES, COMPANIES, SCALE, torch.tensor([0, 0, 1]), torch.tensor([0, 1, 2]), NO_WEIGHT)
    e = [[math.exp(2 * math.cos(float(n - c))) for c in ANGLES[1]] for n in ANGLES[0]]
    share = [[value / sum(row) for value in row] for row in e]
    first = (math.log(share[0][0]) + math.log(share[0][1])) / 2
    assert loss.item() == pytest.approx(-(first + math.log(share[1][2])) / 2, abs=1e-6)


def test_a_candidate_that_stands_for_others_weighs_as_if_they_were_there() -> None:
    """Company 2, drawn to stand for three like it, gives the loss of a catalogue with it three times."""
    bids = torch.tensor([0, 1]), torch.tensor([0, 1])
    weighted = all_bidders_softmax(NOTICES, COMPANIES, SCALE, *bids, torch.tensor([0.0, 0.0, math.log(3)]))
    repeated = all_bidders_softmax(NOTICES, COMPANIES[[0, 1, 2, 2, 2]], SCALE, *bids, torch.zeros(5))
    assert weighted.item() == pytest.approx(repeated.item(), abs=1e-6)


def test_a_notice_without_bids_adds_nothing() -> None:
    only = all_bidders_softmax(NOTICES[:1], COMPANIES, SCALE, torch.tensor([0]), torch.tensor([1]), NO_WEIGHT)
    both = all_bidders_softmax(NOTICES, COMPANIES, SCALE, torch.tensor([0]), torch.tensor([1]), NO_WEIGHT)
    assert both.item() == pytest.approx(only.item(), abs=1e-6)


def test_no_bid_at_all_is_a_loss_of_zero() -> None:
    nothing = torch.tensor([], dtype=torch.int64)
    assert all_bidders_softmax(NOTICES, COMPANIES, SCALE, nothing, nothing, NO_WEIGHT).item() == 0


def test_two_bidders_that_score_alike_both_rise_against_the_others() -> None:
    companies = COMPANIES[[1, 1, 2]].clone().requires_grad_()
    all_bidders_softmax(NOTICES[:1], companies, SCALE, torch.tensor([0, 0]), torch.tensor([0, 1]), NO_WEIGHT).backward()
    toward = -(companies.grad @ NOTICES[0])
    assert toward[0] == toward[1]
    assert toward[0] > 0 > toward[2]


def test_a_batch_has_its_targets_on_the_diagonal() -> None:
    loss = diagonal_softmax(NOTICES @ COMPANIES[[0, 2]].T * SCALE)
    assert loss.item() == pytest.approx(-math.log(math.exp(2) / (math.exp(2) + 1)), abs=1e-6)


def test_every_marked_candidate_is_a_target_with_an_equal_share() -> None:
    logit_RK = torch.tensor([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]], requires_grad=True)
    target_RK = torch.tensor([[True, True, False], [False, True, False]])
    loss = multi_positive_softmax(logit_RK, target_RK)
    loss.backward()
    share_RK = logit_RK.detach().softmax(dim=1)
    first = (share_RK[0, 0].log() + share_RK[0, 1].log()) / 2
    assert loss.item() == pytest.approx(-float(first + share_RK[1, 1].log()) / 2, abs=1e-6)
    wanted_RK = torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]])
    torch.testing.assert_close(logit_RK.grad, (share_RK - wanted_RK) / 2)


def test_with_one_target_a_row_many_positives_are_the_plain_softmax() -> None:
    logit_RK = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        multi_positive_softmax(logit_RK, torch.eye(3, 5, dtype=torch.bool)), diagonal_softmax(logit_RK)
    )
