import sys

import numpy as np
import pytest

from bidrec.config import Config, Evaluation
from bidrec.errors import DependencyDown
from bidrec.flow import train
from bidrec.ranking.baselines import fit_baselines
from bidrec.ranking.baselines.fields import Fields
from tests.ranking.sets import DAY, training_set

ASKED = Evaluation(further_rivals=("lightfm",))
KINDS = 3
PUBLISHED = [0] * 60 + [9] * 6
KIND = [row % KINDS for row in range(66)]
KNOWN = [(row, row % KINDS + KINDS * at, 5) for row in range(60) for at in range(2)]
"""Companies 0 to 5 bid on notices of their own kind; 6 is known of and bids later."""


def scores(bids, kinds=KIND):
    pytest.importorskip("lightfm", reason="not installed: pip install -r requirements/lightfm.txt")
    ts = training_set(PUBLISHED, bids, {"category": [kind + 1 for kind in kinds]}, companies=7)
    return fit_baselines(ts, Fields.of(ts), 8 * DAY, ASKED)["lightfm"].scores(np.arange(60, 66))


def test_it_learns_who_bids_on_what_and_puts_who_never_bid_last():
    found = scores([*KNOWN, (60, 6, 12)])
    assert found.shape == (6, 7)
    best_two = np.sort(np.argsort(-found, axis=1)[:, :2], axis=1)
    assert best_two.tolist() == [[kind, kind + KINDS] for kind in KIND[60:]]
    assert (found.argmin(axis=1) == 6).all()


def test_bids_opened_later_change_nothing_and_a_second_fit_gives_the_same():
    np.testing.assert_array_equal(scores([*KNOWN, (60, 6, 12), (61, 0, 8)]), scores(KNOWN))


def test_without_bids_or_attributes_it_is_the_popularity():
    assert np.isfinite(scores([(60, 0, 12)])).all()
    found = scores([(0, 2, 5), (1, 2, 5), (2, 1, 5)], [-1] * 66)
    assert (np.argsort(-found, axis=1)[:, :2] == [2, 1]).all()


def test_it_is_missed_before_anything_is_read_or_trained(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightfm", None)
    with pytest.raises(DependencyDown) as refused:
        train(Config(home=str(tmp_path / "home"), evaluation=ASKED))
    assert "requirements/lightfm.txt" in (refused.value.hint or "")
    assert not (tmp_path / "home" / "lake").exists()
    assert not (tmp_path / "home" / "runs").exists()


def test_it_runs_only_where_it_is_asked_for():
    ts = training_set([0, 9], [(0, 0, 5)], {"category": [1, 1]})
    assert "lightfm" not in fit_baselines(ts, Fields.of(ts), 8 * DAY, Evaluation())
