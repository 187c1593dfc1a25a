"""What a trial is worth; the search itself runs in tests/e2e/test_tune.py."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bidrec.config import Config, Model, Training
from bidrec.runs import recipe
from bidrec.training.loop import train
from bidrec.training_set.arrays import TrainingSet
from bidrec.tuning.search import METRIC, _name, _open, _set_folder, _settings, value_of
from bidrec.tuning.space import differing, space_of
from tests.training.sets import training_set

SMALL = Model(embedding_dim=8, table_dim=16, hidden=(16,), company_hidden=16, history_length=8)
CONFIG = Config(model=SMALL, training=Training(batch_size=40, epochs=2, candidates=64, history_gradients=30))
SET = training_set(notices=150, companies=900)


def without_the_test_window(ts: TrainingSet) -> TrainingSet:
    """The set with all bids that became known at the cutoff or later given to a single company."""
    late_pair, late_log = ts.pair_known_at >= ts.cutoff, ts.log_known_at >= ts.cutoff
    assert late_pair.any()
    assert late_log.any()
    return replace(
        ts,
        pair_company=np.where(late_pair, 5, ts.pair_company).astype(np.int32),
        log_notice=np.where(late_log, 0, ts.log_notice).astype(np.int32),
    )


def told(config: Config, sets: list[TrainingSet], folder: Path) -> tuple[float, list[tuple[int, float]]]:
    heard: list[tuple[int, float]] = []
    return value_of(config, sets, folder, lambda step, value: heard.append((step, value))), heard


def test_nothing_that_became_known_after_the_cutoff_moves_a_trial(tmp_path: Path) -> None:
    first = told(CONFIG, [SET], tmp_path / "one")
    assert told(CONFIG, [without_the_test_window(SET)], tmp_path / "other") == first
    assert 0 < first[0] < 1


def test_a_trial_is_worth_its_best_epochs_on_average_over_the_cutoffs(tmp_path: Path) -> None:
    other = training_set(notices=150, companies=900, seed=2)
    value, heard = told(CONFIG, [SET, other], tmp_path / "both")
    unrefitted = replace(CONFIG, training=replace(CONFIG.training, refit=False))
    curves = [
        [entry[METRIC] for entry in train(unrefitted, ts, tmp_path / name)["curve"]]
        for name, ts in (("one", SET), ("two", other))
    ]
    best = [max(curve) for curve in curves]
    assert value == pytest.approx(sum(best) / 2)
    assert [step for step, _ in heard] == [0, 1, 2, 3]
    assert [worth for _, worth in heard] == pytest.approx([curves[0][0], best[0], (best[0] + curves[1][0]) / 2, value])


def test_a_later_epoch_that_is_worse_takes_nothing_from_a_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = iter([0.6, 0.4, 0.2, 0.3])
    monkeypatch.setattr("bidrec.training.loop.validation_recall", lambda *_: next(given))
    value, heard = told(CONFIG, [SET, SET], tmp_path)
    assert value == pytest.approx((0.6 + 0.3) / 2)
    assert [worth for _, worth in heard] == pytest.approx([0.6, 0.6, (0.6 + 0.2) / 2, (0.6 + 0.3) / 2])


def test_the_first_trial_is_the_configured_setting_to_the_last_digit_and_drawn_numbers_have_three() -> None:
    optuna = pytest.importorskip("optuna", reason="Optuna is not installed: pip install -r requirements/tune.txt")
    config = Config(training=Training(learning_rate=0.001234), model=replace(Model(), temperature=0.0712345))
    space = space_of(config, ["training.learning_rate", "model.temperature"])
    trials = ({"training.learning_rate": rate, "model.temperature": 0.0712345} for rate in (0.001234, 0.00567891))
    configured, drawn = (_settings(config, optuna.trial.FixedTrial(trial), space) for trial in trials)
    assert differing(config, configured) == {}
    assert differing(config, drawn) == {"training.learning_rate": 0.00568}


def test_after_an_upgrade_no_trial_is_held_against_older_ones_and_no_older_training_set_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def made() -> tuple[str, Path]:
        return _name(CONFIG, "data", [SET], space_of(CONFIG)), _set_folder(CONFIG, "data")

    (name, folder), now = made(), recipe.now()
    monkeypatch.setattr("bidrec.runs.recipe.now", lambda: now | {"learning": "upgraded"})
    assert made()[0] != name
    assert made()[1] == folder
    monkeypatch.setattr("bidrec.runs.recipe.now", lambda: now | {"serving": "upgraded"})
    assert made()[1] != folder


def test_a_report_that_raises_ends_the_trial(tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    def report(step: int, value: float) -> None:
        raise Enough

    with pytest.raises(Enough):
        value_of(CONFIG, [SET], tmp_path, report)
    assert not (tmp_path / "0" / "model").exists()


@pytest.mark.parametrize(("drawn", "failed"), [(0, False), (1, False), (2, True)])
def test_a_search_killed_at_any_moment_of_its_first_trial_begins_with_the_configured_settings_again(
    tmp_path: Path, drawn: int, failed: bool
) -> None:
    optuna = pytest.importorskip("optuna", reason="Optuna is not installed: pip install -r requirements/tune.txt")
    config = replace(CONFIG, home=str(tmp_path))
    (tmp_path / "tuning").mkdir()
    space = space_of(config, ["training.learning_rate", "model.dropout"])
    for _ in range(2):  # killed once more when it was run again
        study = _open(config, "search", space)
        trial = study.ask()
        _settings(config, trial, space[:drawn])
        if failed:  # killed when it had put the one aside that was killed before
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
    study = _open(config, "search", space)
    assert differing(config, _settings(config, study.ask(), space)) == {}
    assert study.get_trials(states=[optuna.trial.TrialState.WAITING]) == []


def test_a_trial_that_was_killed_with_some_settings_drawn_is_repeated_with_these_and_once(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna", reason="Optuna is not installed: pip install -r requirements/tune.txt")
    config = replace(CONFIG, home=str(tmp_path))
    (tmp_path / "tuning").mkdir()
    space = space_of(config, ["training.learning_rate", "model.dropout"])
    study = _open(config, "search", space)
    configured = study.ask()
    _settings(config, configured, space)
    study.tell(configured, 0.5)
    begun = _settings(config, study.ask(), space[:1])
    drawn = _settings(config, _open(config, "search", space).ask(), space)
    assert begun.items() <= drawn.items()
    repeated = _open(config, "search", space).ask()
    assert _settings(config, repeated, space) == drawn
    study.tell(repeated.number, 0.6)
    assert _open(config, "search", space).get_trials(states=[optuna.trial.TrialState.WAITING]) == []
