"""The steps of the default model, a stretch of notices at a time; test_steps.py has the losses within a batch."""

import math
from dataclasses import replace

import pytest
import torch

from bidrec.config import Config, Loss
from bidrec.model.history import History
from bidrec.model.members import apart
from bidrec.model.two_tower import build
from bidrec.training import notice_steps
from bidrec.training.embed import company_vectors, notice_vectors
from bidrec.training.notice_steps import NoticeSteps
from bidrec.training.steps import steps_for
from tests.training.sets import DAY
from tests.training.test_steps import CONFIG, DATA, EXACT, SET, SMALL


@pytest.mark.parametrize("loss", [Loss(), Loss(kind="in_batch", uniform_negatives=8)], ids=["all", "in_batch"])
def test_a_batch_of_notices_sees_no_company_and_no_bid_known_after_its_first_notice(
    loss: Loss, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notice_steps, "FEWEST_STEPS", 5)  # else of so few notices each were a stretch of its own
    steps = steps_for(replace(CONFIG, loss=loss), DATA, SET.validation_from, DATA.device)
    steps.start_epoch(build(SMALL, SET.schema))
    first_known = {c: SET.version_known_at[SET.version_company == c].min() for c in set(SET.version_company.tolist())}
    for at in range(steps.batches(epoch=0)):
        batch = steps.gathered(at)
        as_of = int(SET.notice_published_at[steps.rows(at).numpy()].min())
        assert len(steps.rows(at)) > 2
        assert batch.stretch.as_of == as_of
        assert batch.stretch.known.tolist() == [c for c, known_at in sorted(first_known.items()) if known_at <= as_of]
        assert set(batch.company_K.tolist()) | set(batch.stretch.company_E.tolist()) <= set(
            batch.stretch.known.tolist()
        )
        history_E = torch.cat([batch.fresh, batch.cached])[batch.companies.history.notice_E]
        assert bool((DATA.published_at[history_E] + 3 * DAY <= as_of).all())  # a bid is known three days later
        known_bids = [(SET.log_company == c) & (SET.log_known_at <= as_of) for c in batch.company_K.tolist()]
        lengths = batch.companies.history.begin_B.diff().tolist()
        assert lengths == [min(int(known.sum()), SMALL.history_length) for known in known_bids]


def test_only_bids_known_before_the_validation_window_are_targets() -> None:
    steps = NoticeSteps(CONFIG, DATA, SET.validation_from)
    for batch in map(steps.rows, range(steps.batches(epoch=0))):
        position, company = DATA.bids_of(batch, steps.known_before)
        for notice, bidder in zip(batch[position].tolist(), company.tolist(), strict=True):
            pair = (SET.pair_notice == notice) & (SET.pair_company == bidder)
            assert SET.pair_known_at[pair] < SET.validation_from


def test_the_cache_gives_the_same_loss_as_the_whole_notice_tower() -> None:
    """With nothing trained since the cache was made, reading through it changes nothing."""
    steps = NoticeSteps(CONFIG, DATA, SET.validation_from)
    model = build(SMALL, SET.schema)
    steps.start_epoch(model)
    steps.epoch = [torch.arange(50, 60)]
    with torch.no_grad():
        batch = steps.gathered(0)
        assert len(batch.cached) > 20
        through_cache = steps.learn(model, batch)
        steps.settings = EXACT
        steps.cache_ND.zero_()
        recomputed = steps.learn(model, steps.gathered(0))
    torch.testing.assert_close(through_cache, recomputed)


def test_what_a_step_recomputes_is_in_the_cache_and_an_epoch_begins_with_all_of_it_anew() -> None:
    steps, model = NoticeSteps(CONFIG, DATA, SET.validation_from), build(SMALL, SET.schema)
    steps.start_epoch(model)
    before_NW = steps.cache_ND.clone()
    steps.epoch = [torch.arange(50, 60)]
    with torch.no_grad():
        for parameter in model.notice.parameters():
            parameter.mul_(-1.5)
        batch = steps.gathered(0)
        steps.learn(model, batch)
    now_NW = notice_vectors(model, DATA)
    torch.testing.assert_close(steps.cache_ND[batch.fresh], now_NW[batch.fresh])
    assert len(batch.cached)
    assert torch.equal(steps.cache_ND[batch.cached], before_NW[batch.cached])
    assert not torch.allclose(now_NW[batch.cached], before_NW[batch.cached], atol=0.1)
    steps.start_epoch(model)
    assert torch.equal(steps.cache_ND, now_NW)


def test_notices_are_drawn_to_learn_by_how_often_they_stand_in_the_histories_and_the_stretchs_own_always_learn() -> (
    None
):
    settings = replace(CONFIG.training, history_gradients=1)
    steps = NoticeSteps(replace(CONFIG, training=settings), DATA, SET.validation_from)
    steps.start_epoch(build(SMALL, SET.schema))
    batch = torch.arange(10)
    reads = [0] * 3 + [6, 2, 1, 1] + [0] * 13 + [1, 3, 0, 6]  # four of the stretch's own notices are read as well
    notice_E = torch.arange(len(reads)).repeat_interleave(torch.tensor(reads))
    history = History(notice_E, torch.zeros(len(notice_E)), torch.tensor([0, len(notice_E)]), torch.tensor([1]))
    torch.manual_seed(2)
    drawn = []
    for _ in range(2_000):
        fresh, cached = steps._read(batch, history)
        assert fresh[:10].tolist() == batch.tolist()
        assert sorted([*fresh[10:].tolist(), *cached.tolist()]) == [20, 21, 23]
        drawn.append(int(fresh[10]))
    assert [drawn.count(notice) / 2_000 for notice in (20, 21, 23)] == pytest.approx([0.1, 0.3, 0.6], abs=0.04)


def test_a_step_reads_as_many_bids_of_a_history_as_it_may() -> None:
    short = replace(CONFIG, model=replace(SMALL, training_history=2))
    steps = NoticeSteps(short, DATA, SET.validation_from)
    steps.start_epoch(build(SMALL, SET.schema))
    steps.epoch = [torch.arange(60, 70)]
    history = steps.gathered(0).companies.history
    assert history.begin_B.diff().tolist() == history.count_B.clamp(max=2).tolist()
    assert history.count_B.max() > 2


@pytest.mark.parametrize(("candidates", "all_of_them"), [(100, True), (30, False), (5, False)])
def test_a_step_is_the_softmax_over_the_known_companies_of_each_member_with_every_known_bidder_a_target(
    candidates: int, all_of_them: bool
) -> None:
    """By hand, a notice, a member, a bidder at a time. A sampled company stands for as many as were not drawn."""
    config = Config(model=SMALL, training=replace(EXACT, candidates=candidates))
    steps, model = NoticeSteps(config, DATA, SET.validation_from), build(SMALL, SET.schema)
    steps.epoch = [torch.arange(30, 40)]
    steps.start_epoch(model)
    with torch.no_grad():
        batch = steps.gathered(0)
        loss = steps.learn(model, batch).item()
        notice_NW, scale = notice_vectors(model, DATA), model.scale.item()
        company_CW, known_C = company_vectors(model, DATA, notice_NW, int(DATA.published_at[30]))
    bidders: dict[int, list[int]] = {}
    for notice, company in zip(SET.pair_notice.tolist(), SET.pair_company.tolist(), strict=True):
        if 30 <= notice < 40 and known_C[company]:
            bidders.setdefault(notice, []).append(company)
    certain = {company for companies in bidders.values() for company in companies}
    others = set(batch.company_K.tolist()) - certain
    assert certain <= set(batch.company_K.tolist())
    assert (len(batch.company_K) == known_C.sum()) == all_of_them
    stands_for = dict.fromkeys(certain, 1.0) | dict.fromkeys(others, (int(known_C.sum()) - len(certain)) / len(others))
    wanted = []
    for notice_ND, company_CD in zip(apart(notice_NW, 2), apart(company_CW, 2), strict=True):
        logit = (notice_ND @ company_CD.T * scale).tolist()
        for notice, own in bidders.items():
            total = sum(weight * math.exp(logit[notice][company]) for company, weight in stands_for.items())
            wanted.append(math.log(total) - sum(logit[notice][company] for company in own) / len(own))
    assert loss == pytest.approx(sum(wanted) / len(wanted), rel=1e-4)


def test_scoring_companies_in_blocks_gives_the_same_loss() -> None:
    losses = []
    for block in (0, 7):
        steps = NoticeSteps(Config(model=SMALL, training=EXACT, loss=Loss(block=block)), DATA, SET.validation_from)
        torch.manual_seed(1)
        model = build(SMALL, SET.schema)
        steps.batches(epoch=0)
        steps.start_epoch(model)
        losses.append(steps.learn(model, steps.gathered(3)))
    torch.testing.assert_close(*losses)
