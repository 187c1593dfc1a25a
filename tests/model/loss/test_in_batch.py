"""Three bids: companies 0 and 1 on notice 0, company 2 on notice 1. Every combination against loops over numbers."""

import math
from itertools import product

import pytest
import torch

from bidrec.config import Loss
from bidrec.model.loss.in_batch import Bids, InBatchLoss
from tests.model.loss.circle import COMPANIES, NOTICES, SCALE

NOTICE_P, COMPANY_P = [0, 0, 1], [0, 1, 2]
TRUE = {(0, 0), (0, 1), (1, 2)}
COMBINATIONS = list(product((False, True), (False, True), ("negative", "masked", "positive"), (0, 2)))


def in_batch(settings: Loss) -> InBatchLoss:
    return InBatchLoss(settings, notices=2, companies=3, device=torch.device("cpu"))


def bids(uniform: list[int]) -> Bids:
    candidates = COMPANY_P + uniform
    hit = torch.tensor([[(n, c) in TRUE for c in candidates] for n in NOTICE_P])
    return Bids(torch.tensor(NOTICE_P), torch.tensor(candidates), lambda: hit, uniform_rate=len(uniform) / 3)


def nobody_asks() -> torch.Tensor:
    raise AssertionError("who else bid is worked out, and nobody reads it")


def loss_of(settings: Loss, batch: Bids, companies: torch.Tensor = COMPANIES) -> torch.Tensor:
    return in_batch(settings)(NOTICES[batch.notice_P], companies[batch.company_K], SCALE, batch)


def dense(settings: Loss, uniform: list[int]) -> float:
    """Scores, temperature, logQ, mask, loss: one number at a time. After one step, a rate is the count in it."""
    cosine = (NOTICES @ COMPANIES.T).tolist()
    candidates = COMPANY_P + uniform

    def one_way(rows: list[int], columns: list[int], score, rate, is_bid) -> float:  # type: ignore[no-untyped-def]
        total = 0.0
        for own, row in enumerate(rows):
            logit = [score(row, column) * 2 - (math.log(rate(column)) if settings.logq else 0) for column in columns]
            hit = [is_bid(row, column) for column in columns]
            hidden = [settings.other_bidders == "masked" and hit[i] and i != own for i in range(len(columns))]
            denominator = sum(math.exp(x) for x, gone in zip(logit, hidden, strict=True) if not gone)
            targets = [i for i in range(len(columns)) if hit[i]] if settings.other_bidders == "positive" else [own]
            total -= sum(logit[i] - math.log(denominator) for i in targets) / len(targets)
        return total / len(rows)

    there = one_way(
        NOTICE_P,
        candidates,
        lambda n, c: cosine[n][c],
        lambda c: COMPANY_P.count(c) + len(uniform) / 3,
        lambda n, c: (n, c) in TRUE,
    )
    back = one_way(
        COMPANY_P, NOTICE_P, lambda c, n: cosine[n][c], lambda n: NOTICE_P.count(n), lambda c, n: (n, c) in TRUE
    )
    return (there + back) / 2 if settings.two_way else there


@pytest.mark.parametrize(("two_way", "logq", "other_bidders", "uniform"), COMBINATIONS)
def test_every_combination_is_what_loops_over_numbers_give(
    two_way: bool, logq: bool, other_bidders: str, uniform: int
) -> None:
    settings = Loss(kind="in_batch", two_way=two_way, logq=logq, other_bidders=other_bidders, uniform_negatives=uniform)
    drawn = [2, 1][:uniform]
    assert loss_of(settings, bids(drawn)).item() == pytest.approx(dense(settings, drawn), abs=1e-5)


@pytest.mark.parametrize(("other_bidders", "pushed"), [("negative", 1), ("masked", 0), ("positive", -1)])
def test_another_true_bidder_is_pushed_away_left_alone_or_drawn_near(other_bidders: str, pushed: int) -> None:
    """The first bid alone, with the notice's other bidder as a uniform negative."""
    hit = torch.tensor([[True, True, False]])
    batch = Bids(torch.tensor([0]), torch.tensor([0, 1, 2]), lambda: hit, uniform_rate=1.0)
    companies = COMPANIES.clone().requires_grad_()
    loss_of(Loss(kind="in_batch", other_bidders=other_bidders), batch, companies).backward()
    assert torch.sign(companies.grad[1] @ NOTICES[0]).item() == pushed


def test_two_ways_push_a_notice_away_from_a_company_that_did_not_bid_on_it() -> None:
    """With companies alike in all but their bids, only the way back tells the notices apart."""
    batch = Bids(torch.tensor([0, 1]), torch.tensor([0, 2]), nobody_asks, uniform_rate=0.0)
    alike = COMPANIES[[1, 1, 1]]
    notices = NOTICES[[0, 1]].clone().requires_grad_()
    moved = []
    for two_way in (False, True):
        loss = in_batch(Loss(kind="in_batch", two_way=two_way))(notices, alike[batch.company_K], SCALE, batch)
        moved.append(torch.autograd.grad(loss, notices)[0].abs().max().item())
    assert moved[0] == pytest.approx(0, abs=1e-6)
    assert moved[1] > 0.01


def test_only_the_correction_has_a_state_and_a_restored_one_goes_on_alike() -> None:
    assert in_batch(Loss(kind="in_batch", two_way=True)).state() == {}
    one, other = (in_batch(Loss(kind="in_batch", logq=True, two_way=True)) for _ in range(2))
    first, second = bids([]), bids([0, 2])
    one(NOTICES[first.notice_P], COMPANIES[first.company_K], SCALE, first)
    other.restore({name: value.clone() for name, value in one.state().items()})
    losses = [loss(NOTICES[second.notice_P], COMPANIES[second.company_K], SCALE, second) for loss in (one, other)]
    assert losses[0].item() == losses[1].item()
