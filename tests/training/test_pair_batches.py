from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from bidrec.config import Config, Loss, Model, Training
from bidrec.model.two_tower import build
from bidrec.training.pair_batches import FEW_TWICE, Shared, gather
from bidrec.training.pair_steps import PairSteps
from bidrec.training.resident import Resident
from tests.training.sets import training_set

SET = training_set(notices=100)
DATA = Resident.of(SET, torch.device("cpu"))
STATIC = Model(kind="static", embedding_dim=8, table_dim=8, hidden=(16,), dropout=0.0)


@pytest.mark.parametrize("shared", [Shared(notice=True, company=True), Shared(notice=False, company=False)])
def test_what_is_gathered_ahead_is_what_each_batch_alone_would_give(shared: Shared) -> None:
    known = torch.from_numpy(np.flatnonzero(SET.pair_version >= 0)).int()
    batches = [known[[0, 1, 2, 7, 8]], known[[8, 3]]]
    for pairs, batch in zip(batches, gather(DATA, batches, shared), strict=True):
        notice = batch.notice_U[batch.notice_of_P]
        assert notice.tolist() == SET.pair_notice[pairs].tolist()
        assert len(batch.notice_U) == (len(batch.notice_U.unique()) if shared.notice else len(pairs))
        wanted = DATA.notice.take(notice, DATA.published_at[notice])
        assert torch.equal(batch.notice.dense_BF[batch.notice_of_P], wanted.dense_BF)
        assert torch.equal(batch.notice.attributes[batch.notice_of_P], wanted.attributes)
        profile = DATA.profiles(DATA.profiles_of(torch.from_numpy(SET.pair_version[pairs.numpy()])), 0)
        assert torch.equal(batch.company.dense_BF[batch.company_of_P], profile.dense_BF)
        assert batch.log_count_V.exp().sum().item() == len(pairs)


@pytest.mark.parametrize("shared", [Shared(notice=True, company=True), Shared(notice=False, company=False)])
@pytest.mark.parametrize("logq", [False, True])
def test_a_batch_without_a_row_twice_has_the_loss_and_the_gradient_of_all_its_pairs(logq: bool, shared: Shared) -> None:
    """The seed's: a row and a column for each pair, cross entropy with the diagonal as targets; after one step, how
    often a company is drawn is how often it was in it."""
    versions = np.where(SET.pair_version < 0, -1, np.arange(len(SET.pair_version)) % 5).astype(np.int32)
    profiles = np.where(np.arange(len(SET.version_profile)) % 5 < 2, 0, -1).astype(np.int32)  # two distinct vectors
    data = Resident.of(replace(SET, pair_version=versions, version_profile=profiles), torch.device("cpu"))
    config = Config(model=STATIC, training=Training(batch_size=40), loss=Loss(kind="in_batch", logq=logq))
    steps = PairSteps(config, data, SET.validation_from)
    assert steps.shared.company  # of two
    steps.shared = shared
    steps.batches(0)
    model, batch = build(STATIC, SET.schema), steps.rows(2)
    notice = data.pair_notice[batch].long()
    profile = data.profiles_of(data.pair_version[batch])
    rows = data.notice.take(notice, data.published_at[notice]), data.profiles(profile, 0)
    score = model.notice(rows[0]) @ model.company(rows[1]).T * model.scale
    if logq:
        company = data.pair_company[batch].long()
        score = score - company.bincount()[company].log()
    wanted = functional.cross_entropy(score, torch.arange(len(batch)))
    loss = steps.learn(model, steps.gathered(2))
    torch.testing.assert_close(loss, wanted)
    gradients = [torch.autograd.grad(value, list(model.parameters()), allow_unused=True) for value in (loss, wanted)]
    for ours, plain in zip(*gradients, strict=True):
        if plain is not None:
            torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("again", [0, 1])
def test_rows_are_told_apart_where_more_than_a_few_are_there_twice(again: int) -> None:
    """A hundred bids on notices of their own, by companies of which just too few, or enough, have two."""
    size = 100
    twice = int(size * FEW_TWICE) + again
    versions = torch.arange(size, dtype=torch.int32)
    versions[:twice] = versions[-1]
    data = replace(
        DATA,
        pair_notice=torch.arange(size, dtype=torch.int32),
        pair_version=versions,
        version_profile=torch.arange(size, dtype=torch.int32),
    )
    assert Shared.among(data, torch.arange(size)) == Shared(notice=False, company=bool(again))
