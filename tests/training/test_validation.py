from dataclasses import replace

import pytest
import torch
from structlog.testing import capture_logs

from bidrec.config import Model
from bidrec.model.two_tower import build
from bidrec.training import validation
from bidrec.training.embed import company_vectors, notice_vectors
from bidrec.training.resident import Resident
from bidrec.training.validation import validation_recall, warn_of_few
from tests.training.sets import DAY, training_set

SET = training_set(notices=120, companies=20, bidders=2)
# Each company has a record that no other one has, so that none ranks like another.
SET = replace(SET, profile=training_set(notices=20).version, version_profile=SET.version_company)


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


@pytest.mark.parametrize("kind", ["history", "static"])
def test_recall_is_the_mean_share_of_a_notices_bidders_among_the_first_and_only_histories_read_other_notices(kind):
    torch.manual_seed(1)
    model = build(Model(kind=kind, embedding_dim=8, table_dim=16, hidden=(8,), company_hidden=8), SET.schema)
    data, begin, k = Resident.of(SET, torch.device("cpu")), SET.validation_from, 3
    notice_ND = notice_vectors(model, data)
    company_CD, known_C = company_vectors(model, data, notice_ND, begin)
    inside = (SET.notice_published_at >= begin) & (SET.notice_published_at < SET.cutoff)
    shares = []
    for notice in inside.nonzero()[0]:
        pairs = (SET.pair_notice == notice) & (SET.pair_known_at < SET.cutoff)
        bidders = set(SET.pair_company[pairs].tolist())
        ranked = (company_CD @ notice_ND[notice]).masked_fill(~known_C, -2).topk(k).indices.tolist()
        shares += [len(bidders & set(ranked)) / len(bidders)] if bidders else []
    read: list[int] = []
    model.notice.register_forward_pre_hook(lambda _, batches: read.append(len(batches[0])))
    assert validation_recall(model, data, begin, SET.cutoff, k) == pytest.approx(sum(shares) / len(shares))
    assert 0 < sum(shares) / len(shares) < 1
    assert sum(read) == (len(shares) if kind == "static" else len(data.notice))
