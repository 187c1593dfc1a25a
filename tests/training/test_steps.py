import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from bidrec.config import Config, Loss, Model, Training
from bidrec.errors import InputMissing
from bidrec.model.history import History
from bidrec.model.members import apart
from bidrec.model.two_tower import build
from bidrec.training import notice_steps
from bidrec.training.embed import company_vectors, notice_vectors
from bidrec.training.notice_steps import InBatchNoticeSteps, NoticeSteps
from bidrec.training.pair_steps import PairSteps
from bidrec.training.resident import Resident
from bidrec.training.steps import steps_for
from tests.training.sets import DAY, training_set

SET = training_set(notices=100)
DATA = Resident.of(SET, torch.device("cpu"))
SMALL = Model(
    embedding_dim=8, table_dim=8, hidden=(16,), company_hidden=8, dropout=0.0, fact_dropout=0.0, history_length=4
)
EXACT = Training(batch_size=10, history_gradients=10_000, candidates=100)
CONFIG = Config(model=SMALL, training=Training(batch_size=10, history_gradients=20, candidates=100))


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


def test_masking_every_bidder_but_ones_own_is_the_loss_over_the_batchs_companies() -> None:
    """By hand: over the stretch's bids, -log of the own share among companies that did not bid on the notice."""
    config = Config(model=SMALL, training=EXACT, loss=Loss(kind="in_batch", other_bidders="masked"))
    steps = steps_for(config, DATA, SET.validation_from, DATA.device)
    assert isinstance(steps, InBatchNoticeSteps)
    steps.epoch = [torch.arange(30, 40)]
    model = build(SMALL, SET.schema)
    steps.start_epoch(model)
    with torch.no_grad():
        loss = steps.learn(model, steps.gathered(0))
        notice_ND, as_of = notice_vectors(model, DATA), int(DATA.published_at[30])
        company_CD, known_C = company_vectors(model, DATA, notice_ND, as_of)
    bids = [
        (n, c)
        for n, c in zip(SET.pair_notice.tolist(), SET.pair_company.tolist(), strict=True)
        if 30 <= n < 40 and known_C[c]
    ]
    logit = (notice_ND @ company_CD.T * model.scale).tolist()
    wanted = 0.0
    for notice, own in bids:
        others = [c for _, c in bids if (notice, c) not in bids]
        total = math.exp(logit[notice][own]) + sum(math.exp(logit[notice][c]) for c in others)
        wanted -= logit[notice][own] - math.log(total)
    assert loss.item() == pytest.approx(wanted / len(bids), rel=1e-4)


def test_of_pairs_every_other_known_bidder_of_the_notice_is_masked_and_no_one_else() -> None:
    """By hand, over the companies of the batch and the uniform ones; a bid known later is not one yet."""
    static = replace(SMALL, kind="static")
    masked = Loss(kind="in_batch", other_bidders="masked", uniform_negatives=60)
    known_before = 60 * DAY
    late = np.where(np.arange(len(SET.pair_known_at)) % 4 == 0, known_before, SET.pair_known_at)
    data = Resident.of(replace(SET, pair_known_at=late), torch.device("cpu"))
    steps = PairSteps(Config(model=static, training=replace(EXACT, batch_size=40), loss=masked), data, known_before)
    model, _ = build(static, SET.schema), steps.batches(epoch=0)
    pairs = steps.rows(0)
    torch.manual_seed(5)
    with torch.no_grad():
        loss = steps.learn(model, steps.gathered(0)).item()
        torch.manual_seed(5)
        notice_P, own_P = data.pair_notice[pairs].long(), data.pair_company[pairs].long()
        uniform_U, version_U, _ = steps._uniform(data.published_at[notice_P])
        version_K = torch.cat([data.pair_version[pairs].long(), version_U])
        company_KD = model.company(data.profiles(data.profiles_of(version_K), 0))
        notice_PD = model.notice(data.notice.take(notice_P, data.published_at[notice_P]))
        logit = (notice_PD @ company_KD.T * model.scale).tolist()
    companies = torch.cat([own_P, uniform_U]).tolist()
    bids = zip(SET.pair_notice.tolist(), SET.pair_company.tolist(), late.tolist(), strict=True)
    known = {(notice, company) for notice, company, known_at in bids if known_at < known_before}
    wanted, hidden = [], 0
    for row, notice in enumerate(notice_P.tolist()):
        seen = [at for at, company in enumerate(companies) if at == row or (notice, company) not in known]
        hidden += len(companies) - len(seen)
        wanted.append(math.log(sum(math.exp(logit[row][at]) for at in seen)) - logit[row][row])
    assert loss == pytest.approx(sum(wanted) / len(wanted), rel=1e-4)
    assert hidden > len(pairs)


def test_uniform_negatives_of_pairs_are_versions_known_when_a_notice_of_the_batch_was_published() -> None:
    static = replace(SMALL, kind="static")
    steps = PairSteps(Config(model=static, loss=Loss(uniform_negatives=200)), DATA, SET.validation_from)
    as_of_P = DATA.published_at[torch.tensor([3, 50])]
    company, version, as_of = steps._uniform(as_of_P)
    assert 0 < len(company) < 200  # on day 3 hardly any company was known, company 1 never is
    assert set(as_of.tolist()) <= set(as_of_P.tolist())
    assert (SET.version_company[version] == company.numpy()).all()
    assert (SET.version_known_at[version] <= as_of.numpy()).all()
    steps.batches(epoch=0)
    assert torch.isfinite(steps.learn(build(static, SET.schema), steps.gathered(0)))


def logq_loss(logit_PK: Tensor, own_P: Tensor, company_K: Tensor, uniform_rate: float) -> Tensor:
    """In the first step, by hand: a company's rate is how often it is among the bids, and among the uniform draws."""
    among_bids_K = (company_K[:, None] == own_P).sum(1)
    return functional.cross_entropy(logit_PK - (among_bids_K + uniform_rate).log(), torch.arange(len(own_P)))


LOGQ = Loss(kind="in_batch", logq=True, uniform_negatives=30)


def test_of_pairs_a_uniform_negative_is_expected_at_its_rate_in_the_whole_catalogue() -> None:
    static = replace(SMALL, kind="static")
    steps = PairSteps(Config(model=static, training=EXACT, loss=LOGQ), DATA, SET.validation_from)
    model, batches = build(static, SET.schema), steps.batches(epoch=0)
    pairs = steps.rows(batches - 1)
    torch.manual_seed(5)
    with torch.no_grad():
        loss = steps.learn(model, steps.gathered(batches - 1))
        torch.manual_seed(5)
        notice_P, own_P = DATA.pair_notice[pairs].long(), DATA.pair_company[pairs].long()
        as_of_P = DATA.published_at[notice_P]
        uniform_U, version_U, as_of_U = steps._uniform(as_of_P)
        version_K, as_of_K = torch.cat([DATA.pair_version[pairs].long(), version_U]), torch.cat([as_of_P, as_of_U])
        company_KD = model.company(DATA.profiles(DATA.profiles_of(version_K), as_of_K))
        logit_PK = model.notice(DATA.notice.take(notice_P, as_of_P)) @ company_KD.T * model.scale
    wanted = logq_loss(logit_PK, own_P, torch.cat([own_P, uniform_U]), 30 / SET.companies)
    torch.testing.assert_close(loss, wanted)


def test_of_a_stretch_a_uniform_negative_is_expected_at_its_rate_among_the_companies_known() -> None:
    steps = InBatchNoticeSteps(Config(model=SMALL, training=EXACT, loss=LOGQ), DATA, SET.validation_from)
    model, batches = build(SMALL, SET.schema), steps.batches(epoch=0)
    steps.start_epoch(model)
    with torch.no_grad():
        notice_ND = notice_vectors(model, DATA)
        batch = next(found for found in map(steps.gathered, range(batches)) if len(found.drawn[0]))
        loss = steps.learn(model, batch)
        company_CD, _ = company_vectors(model, DATA, notice_ND, batch.stretch.as_of)
    drawn_P, company_K = batch.drawn
    notice_P = batch.stretch.notice_B[batch.stretch.position_E[drawn_P]]
    logit_PK = notice_ND[notice_P] @ company_CD[company_K].T * model.scale
    own_P = batch.stretch.company_E[drawn_P]
    torch.testing.assert_close(loss, logq_loss(logit_PK, own_P, company_K, 30 / len(batch.stretch.known)))


@pytest.mark.parametrize("kind", ["history", "static"])
def test_how_often_each_company_and_each_notice_is_drawn_is_counted_by_their_own_numbers(kind: str) -> None:
    model, two_way = replace(SMALL, kind=kind), Loss(kind="in_batch", logq=True, two_way=True)
    steps = steps_for(Config(model=model, training=EXACT, loss=two_way), DATA, SET.validation_from, DATA.device)
    towers, batches = build(model, SET.schema), range(steps.batches(epoch=0))[-4:]
    steps.start_epoch(towers)
    for at in batches:
        steps.learn(towers, steps.gathered(at))
    rows = torch.cat([steps.rows(at) for at in batches])
    pairs = np.isin(SET.pair_notice, rows) if kind == "history" else rows.numpy()
    counted = {side: frequency.last.nonzero().flatten() for side, frequency in steps.in_batch.frequencies.items()}
    assert set(counted["notice"].tolist()) == set(SET.pair_notice[pairs].tolist())
    assert set(counted["company"].tolist()) <= set(SET.pair_company[pairs].tolist())
    assert len(counted["company"]) > 5


def test_an_epoch_learns_from_every_pair_once_and_never_from_a_company_unknown_at_the_time() -> None:
    steps = PairSteps(CONFIG, DATA, SET.validation_from)
    pairs = torch.cat([steps.rows(at) for at in range(steps.batches(epoch=0))]).sort().values
    wanted = (SET.pair_known_at < SET.validation_from) & (SET.pair_version >= 0)
    assert pairs.tolist() == wanted.nonzero()[0].tolist()


@pytest.mark.parametrize("kind", [NoticeSteps, PairSteps])
def test_the_order_depends_on_seed_and_epoch_alone(kind: type) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        config = replace(CONFIG, training=replace(CONFIG.training, seed=seed))
        steps = kind(config, DATA, SET.validation_from)
        return torch.cat([steps.rows(at) for at in range(steps.batches(epoch))]).tolist()

    assert order(3, 1) == order(3, 1)
    assert order(3, 1) != order(3, 2)
    assert order(3, 1) != order(4, 1)


@pytest.mark.parametrize("kind", [NoticeSteps, InBatchNoticeSteps, PairSteps])
def test_nothing_to_learn_from_is_said_before_training(kind: type) -> None:
    with pytest.raises(InputMissing, match="to train on"):
        kind(CONFIG, DATA, known_before=0)
