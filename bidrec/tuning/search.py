"""The search for settings: trials in an Optuna study, each a training's first phase, judged on validation windows.

Reads   features/, through a training set for each cutoff
Writes  tuning/sets/<cutoff>-<fingerprint>, the training sets; tuning/study.db, all trials of all searches (SQLite)

A trial's value is the Recall@100 of its best epoch on the `split.validation_days` before a cutoff, the mean over the
cutoffs. No cutoff lies after the configured one, so that no bid of the test window is looked at. The configured
settings are the first trial. A trial ends early where an epoch falls behind the median of the trials before it.
"""

import dataclasses
import json
import shutil
import statistics
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidrec import flow
from bidrec.config import Config, Split
from bidrec.errors import BidrecError, ConfigurationError, DependencyDown
from bidrec.features.schema import Schema
from bidrec.operations import log
from bidrec.operations.signals import stop_requested
from bidrec.runs import recipe
from bidrec.storage.locks import one_job_at_a_time
from bidrec.storage.sealed import fingerprint, read_manifest
from bidrec.storage.whole import writing
from bidrec.training_set.arrays import TrainingSet
from bidrec.training_set.build import build_training_set
from bidrec.training_set.pairs import read_log
from bidrec.training_set.splits import bounds_of, day_of
from bidrec.training_set.tables import open_tables
from bidrec.tuning.space import Dimension, differing, space_of, toml_of, value_at, with_settings

if TYPE_CHECKING:
    import optuna

BOX = "tuning"
DECISIVE = ("model", "loss", "training")
UNPRUNED = 4
"""Trials that run to their end before any is held to a median."""
METRIC = "validation_recall@100"


def tune(config: Config, trials: int, cutoffs: Sequence[date] = (), only: Sequence[str] = ()) -> dict[str, Any]:
    """Search until the study holds `trials` finished trials, those of earlier calls included.

    cutoffs: days before each of which a validation window lies; empty: the configured cutoff. only: keys of the space.
    Returns `trials` (number, state, value, settings, seconds), `configured` and `best` value, `settings`, those of the
    best trial that are not configured, and `toml`. Data, cutoffs, other settings, space or code make another study.
    Raises DependencyDown (69) without Optuna, ConfigurationError (64) for a cutoff after the configured one or an empty
    window, Interrupted (75) on SIGTERM: finished trials stay, and the next call repeats the one that was stopped.
    """
    _need_optuna()
    space = space_of(config, only)
    schema, inputs = flow.prepare(config)
    with one_job_at_a_time(config.home_path, BOX, config.wait_seconds):
        splits = _splits(config, schema, cutoffs)
        sets = [_training_set(config, schema, inputs, split) for split in splits]
        name = _name(config, inputs, sets, space)
        study = _open(config, name, space)
        while len(_finished(study)) < trials:
            _one_trial(config, study, space, sets)
    return {"study": name, "database": str(_database(config)), "metric": METRIC} | _result(config, study, sets, space)


def _need_optuna() -> None:
    try:
        import optuna
    except ImportError as error:
        raise DependencyDown(
            "bidrec tune needs Optuna, which is not installed", hint="pip install -r requirements/tune.txt"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def _splits(config: Config, schema: Schema, cutoffs: Sequence[date]) -> list[Split]:
    """A split for each cutoff. Refuses those after the configured one: their window would be the test's."""
    with open_tables(config, schema) as tables:
        data_until = int(read_log(tables).known_at.max(initial=0))
    configured = bounds_of(config.split, data_until).cutoff
    splits = [dataclasses.replace(config.split, train_before=day, test_before=None) for day in cutoffs]
    for split in splits:
        if bounds_of(split, data_until).cutoff > configured:
            raise ConfigurationError(
                f"the cutoff {split.train_before} lies after {day_of(configured)}, where the test window begins",
                hint="search on windows before it: what chose the settings cannot judge them",
            )
    return splits or [config.split]


def _training_set(config: Config, schema: Schema, inputs: str, split: Split) -> TrainingSet:
    """The set of a cutoff, built where the home has none of these features and this split by this code yet."""
    at = dataclasses.replace(config, split=split)
    folder = _set_folder(at, inputs)
    if read_manifest(folder) is None:
        build_training_set(at, schema, folder)
    return TrainingSet.open(folder)


def _set_folder(config: Config, inputs: str) -> Path:
    split = config.split
    name = fingerprint({"inputs": inputs, "split": dataclasses.asdict(split), "code": recipe.now()["serving"]})[:12]
    return config.home_path / BOX / "sets" / f"{split.train_before or 'newest'}-{name}"


def _name(config: Config, inputs: str, sets: Sequence[TrainingSet], space: Sequence[Dimension]) -> str:
    settings = {name: value for name, value in config.as_dict().items() if name in DECISIVE}
    windows = [[ts.validation_from, ts.cutoff] for ts in sets]
    searched = [one.as_dict() for one in space]
    made_from = {"inputs": inputs, "settings": settings, "windows": windows, "space": searched}
    return fingerprint({"code": recipe.now()["learning"], **made_from})[:12]


def _database(config: Config) -> Path:
    return config.home_path / BOX / "study.db"


def _open(config: Config, name: str, space: Sequence[Dimension]) -> "optuna.Study":
    """The study, with what a killed job was at in line again; a new one begins with the configured settings."""
    import optuna

    with writing(_database(config)):
        study = optuna.create_study(
            storage=f"sqlite:///{_database(config)}",
            study_name=name,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED),
        )
    for trial in study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.RUNNING]):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    for asked in _not_repeated(study):
        study.enqueue_trial(asked)
    if not study.trials:
        study.enqueue_trial({one.key: _kept(one, value_at(config, one.key)) for one in space})
    # A resumed study must not draw again what it drew at first.
    study.sampler = optuna.samplers.TPESampler(seed=config.training.seed + len(study.trials))
    log.get(BOX).info("study", name=name, finished=len(_finished(study)), database=str(_database(config)))
    return study


def _not_repeated(study: "optuna.Study") -> list[dict[str, Any]]:
    """The settings of failed trials, as far as they were drawn, that no later trial has.

    One that was in line has settings before it has drawn them. A job may be killed here too: whether a trial was
    repeated is seen from the others alone.
    """
    trials = study.get_trials(deepcopy=False)
    asked = [trial.system_attrs.get("fixed_params", {}) | trial.params for trial in trials]
    return [
        given
        for number, given in enumerate(asked)
        if trials[number].state.name == "FAIL"
        and not any(given.items() <= later.items() for later in asked[number + 1 :])
    ]


def _finished(study: "optuna.Study") -> "list[optuna.trial.FrozenTrial]":
    """The trials that ran to their end or were stopped early."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.name in ("COMPLETE", "PRUNED")]


def _one_trial(config: Config, study: "optuna.Study", space: Sequence[Dimension], sets: Sequence[TrainingSet]) -> None:
    """Draw settings, train with them and note what came of it. A signal leaves the trial as running: see _open."""
    import optuna

    trial = study.ask()
    settings = _settings(config, trial, space)
    folder = config.home_path / f".{BOX}.trial"
    shutil.rmtree(folder, ignore_errors=True)

    def report(step: int, recall: float) -> None:
        trial.report(recall, step)
        if trial.should_prune():
            raise optuna.TrialPruned

    log.get(BOX).info("trial", number=trial.number, **differing(config, settings))
    try:
        value = value_of(with_settings(config, settings), sets, folder, report)
    except optuna.TrialPruned:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    except BidrecError as error:
        if type(error) is not BidrecError:
            raise
        log.get(BOX).warning("the trial diverged", number=trial.number, reason=error.message)
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    else:
        study.tell(trial, value)
    shutil.rmtree(folder, ignore_errors=True)


def value_of(config: Config, sets: Sequence[TrainingSet], folder: Path, report: Callable[[int, float], None]) -> float:
    """Train the first phase on each set in `folder`; the mean of the sets' best validation Recall@100.

    `report` is told after each epoch which one it was, counted over the sets, and the mean so far; what it raises ends
    the trial.
    """
    from bidrec.training import loop

    config = with_settings(config, {"training.refit": False})
    best: list[float] = []
    for number, ts in enumerate(sets):
        best.append(0.0)

        def after_epoch(epoch: int, recall: float, number: int = number) -> None:
            best[-1] = max(best[-1], recall)
            report(number * config.training.epochs + epoch, statistics.fmean(best))

        with stop_requested() as stop:
            loop.train(config, ts, folder / str(number), stop, after_epoch=after_epoch)
    return statistics.fmean(best)


def _settings(
    config: Config, trial: "optuna.Trial | optuna.trial.FixedTrial", space: Sequence[Dimension]
) -> dict[str, Any]:
    return {one.key: _drawn(one, trial, value_at(config, one.key)) for one in space}


def _drawn(one: Dimension, trial: "optuna.Trial | optuna.trial.FixedTrial", configured: Any) -> Any:
    """The trial's setting; numbers have three digits, which is what the result shows, or are the configured one."""
    if one.choices:
        kept = {_kept(one, choice): choice for choice in one.choices}
        return kept[trial.suggest_categorical(one.key, list(kept))]
    value = trial.suggest_float(one.key, one.low, one.high, log=one.log)
    return value if value == configured else float(f"{value:.3g}")


def _kept(one: Dimension, value: Any) -> Any:
    """The value as the database keeps it: a choice as its JSON."""
    return json.dumps(value) if one.choices else value


def _result(
    config: Config, study: "optuna.Study", sets: Sequence[TrainingSet], space: Sequence[Dimension]
) -> dict[str, Any]:
    import optuna

    rows: list[dict[str, Any]] = []
    for trial in _finished(study):
        settings = differing(config, _settings(config, optuna.trial.FixedTrial(trial.params), space))
        best = max(trial.intermediate_values.values(), default=None)
        whole = trial.state.name == "COMPLETE"
        rows.append(
            {
                "trial": trial.number,
                "state": "whole" if whole else "stopped early",
                METRIC: trial.value if whole else best,
                "epochs": len(trial.intermediate_values),
                "seconds": round(trial.duration.total_seconds(), 1) if trial.duration else None,
                "settings": settings,
            }
        )
    whole_rows = [row for row in rows if row["state"] == "whole"]
    configured = next((row[METRIC] for row in whole_rows if not row["settings"]), None)
    best_row = max(whole_rows, key=lambda row: row[METRIC], default=None)
    return {
        "windows": [{"from": day_of(ts.validation_from), "until": day_of(ts.cutoff)} for ts in sets],
        "trials": rows,
        "configured": configured,
        "best": best_row[METRIC] if best_row else None,
        "settings": best_row["settings"] if best_row else {},
        "toml": toml_of(best_row["settings"]) if best_row else "",
    }
