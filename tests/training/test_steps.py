import pytest
import torch

from bidrec.config import Config, Model, Training
from bidrec.errors import InputMissing
from bidrec.model.two_tower import build
from bidrec.training.resident import Resident
from bidrec.training.steps import NoticeSteps, PairSteps, shuffled
from tests.training.sets import DAY, training_set

SET = training_set(notices=100)
DATA = Resident.of(SET, torch.device("cpu"))
SMALL = Model(
    embedding_dim=8, table_dim=8, hidden=(16,), company_hidden=8, dropout=0.0, fact_dropout=0.0, history_length=4
)
CONFIG = Config(model=SMALL, training=Training(batch_size=10, history_gradients=20, candidates=100))


def test_a_batch_of_notices_sees_no_company_and_no_bid_known_after_its_first_notice() -> None:
    steps = NoticeSteps(CONFIG, DATA, SET.validation_from)
    model = build(SMALL, SET.schema)
    steps.start_epoch(model)
    for batch in steps.batches(epoch=0):
        as_of = int(DATA.published_at[batch].min())
        assert as_of == int(DATA.published_at[batch[0]])
        versions = DATA.versions_as_of(as_of)
        history = DATA.histories(versions[versions >= 0], as_of, SMALL.history_length)
        opened = DATA.published_at[history.notice_BL] + 3 * DAY
        assert bool((opened[history.known_BL] <= as_of).all())


def test_only_bids_known_before_the_validation_window_are_targets() -> None:
    steps = NoticeSteps(CONFIG, DATA, SET.validation_from)
    everyone = torch.zeros(SET.companies, dtype=torch.int64)
    for batch in steps.batches(epoch=0):
        position, company = steps._bids(batch, everyone)
        for notice, bidder in zip(batch[position].tolist(), company.tolist(), strict=True):
            pair = (SET.pair_notice == notice) & (SET.pair_company == bidder)
            assert SET.pair_known_at[pair] < SET.validation_from


def test_a_sample_of_candidates_keeps_every_bidder_and_stands_for_all_companies() -> None:
    config = Config(model=SMALL, training=Training(batch_size=10, candidates=12))
    steps = NoticeSteps(config, DATA, SET.validation_from)
    known, bidders = torch.arange(2, 40), torch.tensor([5, 9, 5])
    candidates, log_weight = steps._candidates(known, bidders)
    assert len(candidates) == 12
    assert len(candidates.unique()) == 12
    assert {5, 9} <= set(candidates.tolist())
    assert log_weight.exp().sum().item() == pytest.approx(len(known), rel=1e-5)


def test_all_known_companies_are_candidates_where_they_fit() -> None:
    candidates, log_weight = NoticeSteps(CONFIG, DATA, SET.validation_from)._candidates(
        torch.arange(2, 40), torch.tensor([5])
    )
    assert candidates.tolist() == list(range(2, 40))
    assert not log_weight.any()


def test_the_cache_gives_the_same_loss_as_the_whole_notice_tower() -> None:
    """With nothing trained since the cache was made, reading through it changes nothing."""
    steps = NoticeSteps(CONFIG, DATA, SET.validation_from)
    model = build(SMALL, SET.schema)
    steps.start_epoch(model)
    batch = steps.batches(epoch=0)[3]
    with torch.no_grad():
        through_cache = steps.loss(model, batch)
        steps.settings = Training(batch_size=10, history_gradients=10_000, candidates=100)
        steps.cache_ND.zero_()
        recomputed = steps.loss(model, batch)
    torch.testing.assert_close(through_cache, recomputed)


def test_an_epoch_learns_from_every_pair_once_and_never_from_a_company_unknown_at_the_time() -> None:
    steps = PairSteps(CONFIG, DATA, SET.validation_from)
    pairs = torch.cat(steps.batches(epoch=0)).sort().values
    wanted = (SET.pair_known_at < SET.validation_from) & (SET.pair_version >= 0)
    assert pairs.tolist() == wanted.nonzero()[0].tolist()


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    assert shuffled(50, 3, 1).tolist() == shuffled(50, 3, 1).tolist()
    assert shuffled(50, 3, 1).tolist() != shuffled(50, 3, 2).tolist()


@pytest.mark.parametrize("kind", [NoticeSteps, PairSteps])
def test_nothing_to_learn_from_is_said_before_training(kind: type) -> None:
    with pytest.raises(InputMissing, match="to train on"):
        kind(CONFIG, DATA, known_before=0)
