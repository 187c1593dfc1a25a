import math
from dataclasses import replace

import pytest
import torch

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


def test_a_batch_of_notices_sees_no_company_and_no_bid_known_after_its_first_notice() -> None:
    steps = NoticeSteps(CONFIG, DATA, SET.validation_from)
    model = build(SMALL, SET.schema)
    steps.start_epoch(model)
    for batch in map(steps.rows, range(steps.batches(epoch=0))):
        as_of = int(DATA.published_at[batch].min())
        assert as_of == int(DATA.published_at[batch[0]])
        versions = DATA.versions_as_of(as_of)
        history = DATA.histories(versions[versions >= 0], as_of, SMALL.history_length)
        opened = DATA.published_at[history.notice_E] + 3 * DAY
        assert bool((opened <= as_of).all())


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
    steps.batches(epoch=0)
    with torch.no_grad():
        through_cache = steps.loss(model, 3)
        steps.settings = Training(batch_size=10, history_gradients=10_000, candidates=100)
        steps.cache_ND.zero_()
        recomputed = steps.loss(model, 3)
    torch.testing.assert_close(through_cache, recomputed)


def test_scoring_companies_in_blocks_gives_the_same_loss() -> None:
    losses = []
    for block in (0, 7):
        steps = NoticeSteps(Config(model=SMALL, training=EXACT, loss=Loss(block=block)), DATA, SET.validation_from)
        torch.manual_seed(1)
        model = build(SMALL, SET.schema)
        steps.batches(epoch=0)
        steps.start_epoch(model)
        losses.append(steps.loss(model, 3))
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
        loss = steps.loss(model, 0)
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
    assert torch.isfinite(steps.loss(build(static, SET.schema), 0))


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
