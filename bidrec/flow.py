"""The one flow, step after step; a step whose inputs have not changed is skipped, an unfinished run is gone on with.

source -> lake -> features -> Feast's registry -> training set -> model -> second stage -> metrics    (train)
source -> lake -> features -> embeddings and recommendations -> Feast's online store      (publish)
"""

import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from bidrec.config import Config
from bidrec.errors import InputMissing
from bidrec.features.build import build_features
from bidrec.lake.ingest import ingest
from bidrec.operations import log
from bidrec.operations.signals import stop_requested
from bidrec.ranking.names import MEASURED_BY
from bidrec.runs import lineage, recipe
from bidrec.runs.found import all_runs, find, newest
from bidrec.runs.prune import sweep_runs
from bidrec.runs.run import Run
from bidrec.runs.start import start_or_resume
from bidrec.storage.locks import one_job_at_a_time
from bidrec.storage.sealed import content_of, fingerprint, read_manifest, write_json
from bidrec.storage.whole import sweep
from bidrec.tracking import track
from bidrec.training_set.arrays import TrainingSet
from bidrec.training_set.build import build_training_set, fields_of
from bidrec.training_set.drift import require_known
from bidrec.training_set.tables import SPILL

if TYPE_CHECKING:
    from bidrec.features.schema import Schema


def prepare(config: Config) -> tuple["Schema", str]:
    """Bring lake, features and registry up to date. Returns the model's schema, and a fingerprint of both.

    Raises ConfigurationError (64) where drift.exceptions names what is no field of the schema.
    """
    from bidrec.features.registry import apply
    from bidrec.features.schema import read_schema

    ingest(config)
    features = build_features(config)
    apply(config)
    schema = read_schema(config)
    require_known(config.drift, schema)
    return schema, fingerprint({"features": content_of(features), "fields": fields_of(schema)})


def train(config: Config, *, backtest: bool = False, force: bool = False, profile: bool = False) -> Run:
    """Materialise, train, learn the second stage and evaluate; the run is finished when its manifest is there.

    A finished run that learned the same from the same by this code is taken as it is, unless by `force`. SIGTERM or
    Ctrl-C saves the training's state and raises Interrupted (75); the next call goes on from there. A `backtest` makes
    runs that are not published. One training of a home at a time. `profile` records where the time of some training
    steps goes, in the folder of a new run.
    """
    from bidrec.training import processes
    from bidrec.training.start import start

    with processes.joined(config.training.device), ExitStack() as held:
        alone = one_job_at_a_time(config.home_path, "train", config.wait_seconds)
        processes.first(lambda: held.enter_context(alone))
        run = processes.first(lambda: _materialise(config, backtest, force or profile))
        finished, trained = processes.first(lambda: (run.finished, read_manifest(run.model) is not None))
        if finished:
            return run
        if not trained:
            with stop_requested() as stop:
                start(config, run.training_set, run.folder, stop, profile=profile)
        processes.first(lambda: _finish(config, run))
    return run


def _materialise(config: Config, backtest: bool, force: bool) -> Run:
    """The run to go on with, its training set built."""
    started_at = lineage.now()
    sweep_runs(config.home_path)
    schema, inputs = prepare(config)
    begun = lineage.begun(config, "backtest" if backtest else "train", started_at)
    lasting = _lasting(config, schema)
    run = start_or_resume(config, inputs, lasting=lasting, backtest=backtest, force=force, begun=begun)
    if run.finished:
        same, hint = "this was trained before, of the same data and settings", "bidrec train --force makes another run"
        log.get("train").info(same, id=run.id, hint=hint)
        if not run.page.is_file():
            describe(config, run)  # killed when all but that was done
    else:
        log.get("train").info("run", id=run.id)
    sweep(config.home_path, SPILL)  # killed when the training set was there and its workspace not yet gone
    if not run.finished and read_manifest(run.training_set) is None:
        build_training_set(config, schema, run.training_set)
    return run


def _lasting(config: Config, schema: "Schema") -> str:
    """The fingerprint of what stays where the source only has had news: the lake's first parts, and the fields read."""
    features = read_manifest(config.home_path / "features") or {}
    first = {table: sums[:1] for table, sums in features.get("parts", {}).items()}
    return fingerprint({"first": first, "fields": fields_of(schema)})


def _finish(config: Config, run: Run) -> None:
    """Second stage, evaluation and manifest of a run whose model is trained. Nobody goes on from its checkpoints, which
    are four times as large: they are deleted here, where also a training that was killed before comes along."""
    from bidrec.ranking.reranker import learn_blend

    shutil.rmtree(run.checkpoints, ignore_errors=True)
    ts = TrainingSet.open(run.training_set)
    model = read_manifest(run.model) or {}
    if read_manifest(run.second_stage) is None:
        learn_blend(config, run, ts).save(run.second_stage)
    metrics = evaluate(config, run)
    run.finish(
        inputs=metrics["inputs"],
        window=metrics["window"],
        curve=model["curve"],
        parameters=model["parameters"],
        statistics=ts.manifest.get("statistics", {}),
        lineage=lineage.done(
            run.begun(), (run.training_set.name, run.model.name, run.second_stage.name, "metrics.json")
        ),
    )
    describe(config, run)
    track(config, run)


def describe(config: Config, run: Run) -> None:
    """Make the run's page and model card. Whatever stops that is a warning: the run itself is finished."""
    try:
        from bidrec.reporting.describe import describe_run

        written = describe_run(config, run)
        log.get("report").info("run described", **{name: str(path) for name, path in written.items()})
    except Exception as error:
        log.get("report").warning("the run's page could not be made", error=str(error), hint=f"bidrec report {run.id}")


def evaluate(config: Config, run: Run) -> dict[str, Any]:
    """Rank the test window with the run's second stage and the baselines; writes details.json, and metrics.json, which
    is returned."""
    from bidrec.ranking.run_evaluation import evaluate_run

    run.require_this_code()
    measured, details = evaluate_run(config, run)
    metrics = {"run": run.id, "inputs": run.begun_as("inputs"), MEASURED_BY: recipe.now()["measuring"], **measured}
    write_json(run.folder / "details.json", details)
    write_json(run.folder / "metrics.json", metrics)
    return metrics


def measure_importance(run: Run, *, repeats: int, seed: int) -> dict[str, Any]:
    """Permute every field in turn and see how far validation falls; writes and returns importance.json."""
    from bidrec.training.importance import importance
    from bidrec.training.saved import load_model

    run.require_this_code()
    ts = TrainingSet.open(run.training_set)
    found = importance(load_model(ts.schema, run.model), ts, repeats=repeats, seed=seed)
    write_json(run.folder / "importance.json", found)
    return found


def publish(config: Config, run_id: str | None = None, as_of: int | None = None) -> dict[str, Any]:
    """Write today's embeddings and recommendations with a finished run, and materialise them online.

    Raises InputMissing (66), before anything is made, where there is no such run, or only those of backtests and none
    is named; ContractError (65) where another bidrec made it.
    """
    from bidrec.features.feature_store import online_store
    from bidrec.features.registry import materialize
    from bidrec.publishing.write_back import VIEWS, write_back

    started_at = lineage.now()
    _to_publish(config, run_id)
    schema, _ = prepare(config)
    run = _to_publish(config, run_id)  # a training may have finished meanwhile
    store = online_store(config)
    made_by = lineage.done(
        lineage.begun(config, "write-back", started_at, parent=run.id),
        (*(f"{view}.parquet" for view in VIEWS), *(f"{store}:{view}" for view in VIEWS)),
    )
    manifest = write_back(config, schema, run, as_of, made_by)
    materialize(config, VIEWS)
    return manifest


def _to_publish(config: Config, run_id: str | None) -> Run:
    home = config.home_path
    if run_id is None and newest(home) is None and any(run.finished for run in all_runs(home)):
        raise InputMissing(
            f"all finished runs in {home / 'runs'} are of backtests, which are published only where they are named",
            hint="bidrec train makes one to publish; or give one that bidrec runs lists with --run ID",
        )
    run = find(home, run_id)
    run.require_this_code()
    return run
