from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest
import torch
from structlog.testing import capture_logs
from torch.utils._python_dispatch import TorchDispatchMode

from bidrec.config import Model
from bidrec.model.two_tower import build
from bidrec.training import validation
from bidrec.training.embed import company_vectors, notice_vectors
from bidrec.training.resident import Resident
from bidrec.training.validation import recall, validation_recall, warn_of_few
from tests.training.sets import DAY, training_set

SET = training_set(notices=120, companies=20, bidders=2)
SMALL = Model(embedding_dim=8, table_dim=8, hidden=(16,), company_hidden=8, history_length=4)


@pytest.mark.parametrize("kind", ["history", "static"])
@pytest.mark.parametrize("k", [1, 5, 100])
@pytest.mark.parametrize(("at_most", "thinned"), [(3000, 1), (20, 2)])
def test_the_recall_is_that_of_a_plain_loop_over_the_windows_notices_and_the_companies_known_at_its_start(
    monkeypatch: pytest.MonkeyPatch, kind: str, k: int, at_most: int, thinned: int
) -> None:
    """Some bidders are not known at the start, and are missed; some bids open after the cutoff, and are not there."""
    monkeypatch.setattr(validation, "NOTICES", at_most)
    monkeypatch.setattr(validation, "BLOCK", 4)
    ts = training_set(notices=200, companies=400, bidders=2)
    # Each company has a record that no other one has, so that none ranks like another by it.
    ts = replace(ts, profile=training_set(notices=400).version, version_profile=ts.version_company)
    late = (np.arange(len(ts.pair_known_at)) % 5 == 0) & (ts.pair_known_at < ts.cutoff)
    ts = replace(ts, pair_known_at=np.where(late, ts.cutoff, ts.pair_known_at))
    torch.manual_seed(1)
    model, data = build(replace(SMALL, kind=kind), ts.schema).eval(), Resident.of(ts, torch.device("cpu"))
    notice_ND = notice_vectors(model, data)
    cosine = (notice_ND @ company_vectors(model, data, notice_ND, ts.validation_from)[0].T).tolist()
    known = set(ts.version_company[ts.version_known_at <= ts.validation_from].tolist())
    bidders: dict[int, set[int]] = {}
    for notice, company, known_at in zip(
        ts.pair_notice.tolist(), ts.pair_company.tolist(), ts.pair_known_at.tolist(), strict=True
    ):
        if ts.validation_from <= ts.notice_published_at[notice] < ts.cutoff and known_at < ts.cutoff:
            bidders.setdefault(notice, set()).add(company)
    looked_at = sorted(bidders)[::thinned]
    assert 12 < len(looked_at) <= at_most
    assert any(not bidders[notice] <= known for notice in looked_at)
    wanted = [
        len(bidders[notice] & set(sorted(known, key=lambda company, row=cosine[notice]: -row[company])[:k]))
        / len(bidders[notice])
        for notice in looked_at
    ]
    read: list[int] = []
    model.notice.register_forward_pre_hook(lambda _, batches: read.append(len(batches[0])))
    assert validation_recall(model, data, ts.validation_from, ts.cutoff, k) == pytest.approx(fmean(wanted))
    # Histories may name any notice; without them, only those that are ranked for are read.
    assert sum(read) == (len(looked_at) if kind == "static" else len(data.notice))


class Largest(TorchDispatchMode):
    """Of all tensors that are made."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.numbers = max(self.numbers, made.numel())
        return made


@pytest.mark.parametrize(("scores_at_once", "blocks"), [(1 << 25, 1), (2000, 10), (1000, 20)])
def test_the_scores_of_a_large_catalogue_are_made_a_block_at_a_time(monkeypatch, scores_at_once, blocks):
    monkeypatch.setattr(validation, "SCORES_AT_ONCE", scores_at_once)
    angle = torch.linspace(0, 1, 300)
    companies = torch.stack([angle.cos(), angle.sin()], dim=1)
    with Largest() as largest:
        found = recall(companies[:60], list(torch.arange(60)[:, None]), companies, torch.arange(300), 1)
    assert found == 1
    assert largest.numbers == 300 * 60 / blocks


def test_where_nobody_is_known_all_is_missed_and_of_no_bid_nothing_can_be_said() -> None:
    model, data = build(SMALL, SET.schema), Resident.of(SET, torch.device("cpu"))
    assert validation_recall(model, data, -1, SET.cutoff) == 0
    assert np.isnan(validation_recall(model, data, SET.cutoff, SET.cutoff))


@pytest.mark.parametrize(("days", "few"), [(0, True), (3, True), (60, False)])
def test_a_window_of_few_notices_is_told_with_their_number_and_a_larger_one_is_not(monkeypatch, days, few):
    monkeypatch.setattr(validation, "FEW", 20)
    data, begin = Resident.of(SET, torch.device("cpu")), SET.cutoff - days * DAY
    published, known = data.published_at[data.pair_notice.long()], data.pair_known_at
    inside = (published >= begin) & (published < SET.cutoff) & (known < SET.cutoff)
    notices = len(data.pair_notice[inside].unique())
    assert (notices < 20) == few
    with capture_logs() as logs:
        warn_of_few(data, begin, SET.cutoff)
    assert [entry["notices"] for entry in logs if entry["log_level"] == "warning"] == [notices] * few
