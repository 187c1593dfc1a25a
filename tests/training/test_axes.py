from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from bidrec.config import Model
from bidrec.model.two_tower import build
from bidrec.training.axes import fit_axes
from bidrec.training.resident import Resident
from bidrec.training_set.arrays import Side, TrainingSet
from tests.training.sets import training_set

SET = training_set(notices=120)
CPU = torch.device("cpu")
SMALL = Model(embedding_dim=8, table_dim=8, hidden=(16,), company_hidden=8, history_length=4, members=2)


def fitted(ts: TrainingSet, settings: Model = SMALL) -> Tensor:
    torch.manual_seed(1)
    model = build(settings, ts.schema)
    fit_axes(model, Resident.of(ts, CPU), SET.validation_from)
    return model.axes


def shifted(side: Side, rows: np.ndarray) -> Side:
    return replace(side, dense=np.where(rows[:, None], side.dense + 5, side.dense))


def with_other(notices: np.ndarray, versions: np.ndarray, bids: np.ndarray) -> TrainingSet:
    """The set with other values in these rows of its notices and versions, and other notices of these bids."""
    return replace(
        SET,
        notice=shifted(SET.notice, notices),
        version=shifted(SET.version, versions),
        log_notice=np.where(bids, 0, SET.log_notice).astype(SET.log_notice.dtype),
    )


def test_notices_versions_and_bids_from_the_given_time_on_change_no_axis() -> None:
    times = SET.notice_published_at, SET.version_known_at, SET.log_known_at
    late = [known_at >= SET.validation_from for known_at in times]
    assert all((known_at == SET.validation_from).any() for known_at in times)
    assert torch.equal(fitted(with_other(*late)), fitted(SET))


@pytest.mark.parametrize("changed", range(3), ids=["notices", "versions", "bids"])
def test_notices_versions_and_bids_before_it_do(changed: int) -> None:
    rows = [np.zeros(len(times), bool) for times in (SET.notice_published_at, SET.version_known_at, SET.log_known_at)]
    rows[changed][:] = True
    assert not torch.allclose(fitted(with_other(*rows)), fitted(SET), atol=1e-3)


def test_the_axes_of_a_model_with_one_member_stay_its_own() -> None:
    assert torch.equal(fitted(SET, replace(SMALL, members=1)), torch.eye(8))
