from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from bidrec.config import Config, Loss, Model, Training
from bidrec.model.two_tower import build
from bidrec.training.pair_batches import gather
from bidrec.training.pair_steps import PairSteps
from bidrec.training.resident import Resident
from tests.training.sets import training_set

SET = training_set(notices=100)
DATA = Resident.of(SET, torch.device("cpu"))
STATIC = Model(kind="static", embedding_dim=8, table_dim=8, hidden=(16,), dropout=0.0)


def test_what_is_gathered_ahead_is_what_each_batch_alone_would_give() -> None:
    known = torch.from_numpy(np.flatnonzero(SET.pair_version >= 0)).int()
    batches = [known[[0, 1, 2, 7, 8]], known[[8, 3]]]
    for pairs, batch in zip(batches, gather(DATA, batches), strict=True):
        notice = batch.notice_U[batch.notice_of_P]
        assert notice.tolist() == SET.pair_notice[pairs].tolist()
        assert len(batch.notice_U.unique()) == len(batch.notice_U)
        wanted = DATA.notice.take(notice, DATA.published_at[notice])
        assert torch.equal(batch.notice.dense_BF[batch.notice_of_P], wanted.dense_BF)
        assert torch.equal(batch.notice.attributes[batch.notice_of_P], wanted.attributes)
        profile = DATA.profiles(DATA.profiles_of(torch.from_numpy(SET.pair_version[pairs.numpy()])), 0)
        assert torch.equal(batch.company.dense_BF[batch.company_of_P], profile.dense_BF)
        assert batch.log_count_V.exp().sum().item() == len(pairs)


@pytest.mark.parametrize("logq", [False, True])
def test_a_batch_without_a_row_twice_has_the_loss_and_the_gradient_of_all_its_pairs(logq: bool) -> None:
    """The seed's: a row and a column for each pair, cross entropy with the diagonal as targets; after one step, how
    often a company is drawn is how often it was in it."""
    versions = np.where(SET.pair_version < 0, -1, np.arange(len(SET.pair_version)) % 5).astype(np.int32)
    profiles = np.where(np.arange(len(SET.version_profile)) % 5 < 2, 0, -1).astype(np.int32)  # two distinct vectors
    data = Resident.of(replace(SET, pair_version=versions, version_profile=profiles), torch.device("cpu"))
    config = Config(model=STATIC, training=Training(batch_size=40), loss=Loss(kind="in_batch", logq=logq))
    steps = PairSteps(config, data, SET.validation_from)
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
    loss = steps.loss(model, 2)
    torch.testing.assert_close(loss, wanted)
    gradients = [torch.autograd.grad(value, list(model.parameters()), allow_unused=True) for value in (loss, wanted)]
    for ours, plain in zip(*gradients, strict=True):
        if plain is not None:
            torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-4)
