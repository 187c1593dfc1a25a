import pytest
import torch
from structlog.testing import capture_logs

from bidrec.training import validation
from bidrec.training.resident import Resident
from bidrec.training.validation import warn_of_few
from tests.training.sets import DAY, training_set

SET = training_set(notices=120, companies=20, bidders=2)


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
