import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from bidrec.config import Config, Loss, Model, Training
from bidrec.errors import InputMissing
from bidrec.model.two_tower import build
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
