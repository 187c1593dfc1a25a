"""Which run a training goes on with: one that learns the same in the same way, or a new one.

Reads   runs/*/config.json
Writes  config.json of a new run
"""

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bidrec.config import Config
from bidrec.operations import log
from bidrec.runs import recipe
from bidrec.runs.found import ID, STAMP, all_runs, newest, stamp
from bidrec.runs.run import Run
from bidrec.storage.sealed import fingerprint, read_manifest, write_json

DECISIVE = ("split", "model", "loss", "training", "ranking", "evaluation")
"""The tables of the configuration that a run's result depends on, besides its inputs."""
GOES_ON = timedelta(days=2)
"""A run begun longer ago is not gone on with if the source has had news since: it would end with figures of old."""


def start_or_resume(
    config: Config,
    inputs: str,
    *,
    lasting: str = "",
    backtest: bool = False,
    force: bool = False,
    begun: dict[str, Any] | None = None,
) -> Run:
    """The newest run that learns the same in the same way by the same code, to go on with or to take as it is; or one
    that was stopped, though the source has had news since; or else a new one.

    `inputs`: the fingerprint of the feature tables and of the fields read from them. `lasting`: that of what stays of
    these where the source only has had news. Where home and source lie does not matter, so a moved home goes on.
    A training rather goes on with what it began, on other data only if no run was finished since, and takes no run that
    a backtest made; a backtest rather takes a finished one, whoever made it. `force`: never a finished one, and none of
    other data. `begun`: how a new run begins, for its lineage; one that is gone on with has its own.
    """
    settings = {name: value for name, value in config.as_dict().items() if name in DECISIVE}
    code, there = recipe.now(), all_runs(config.home_path)
    way = fingerprint({"code": code["learning"], "settings": settings, "lasting": lasting})
    of_this_way = [run for run in there if run.begun_as("way") == way]
    if alike := _of_the_same_data(of_this_way, inputs, backtest, force):
        return alike
    if not force and (stopped := _stopped_before_news(of_this_way, config.home_path, backtest)):
        text = "the source has had news since this run was begun: it ends without them"
        log.get("runs").warning(text, id=stopped.id, hint="bidrec train --force begins anew")
        return stopped
    if there and there[-1].recipe != code:
        log.get("runs").info("bidrec has changed since the newest run: a new one begins", newest=there[-1].id)
    run = Run(config.home_path / "runs" / f"{_next_stamp(config.home_path)}-{secrets.token_hex(3)}")
    facts = {"way": way, "recipe": code, "inputs": inputs, "backtest": backtest, "begun": begun or {}}
    write_json(run.folder / "config.json", {**facts, "config": config.as_dict()})
    return run


def _of_the_same_data(of_this_way: list[Run], inputs: str, backtest: bool, force: bool) -> Run | None:
    """That to go on with or, where it is finished and nothing else was asked for, to take as it is."""
    alike = [run for run in of_this_way if run.begun_as("inputs") == inputs and (backtest or not run.backtest)]
    alike = [run for run in alike if not run.finished or (run.whole and not force)]
    return max(alike, key=lambda run: (run.finished == backtest, run.id), default=None)


def _stopped_before_news(of_this_way: list[Run], home: Path, backtest: bool) -> Run | None:
    """The newest that was stopped, if the newest finished run is not newer: then it would never be published."""
    stopped = [run for run in of_this_way if run.backtest == backtest and _is_stopped(run)]
    made = newest(home) if stopped and not backtest else None
    return stopped[-1] if stopped and (made is None or stopped[-1].id > made.id) else None


def _is_stopped(run: Run) -> bool:
    """Whether the run can be gone on with when the source has had news: a training reads nothing but its training set.
    On a source that lives there are news whenever a training is begun again. One that diverged would do so again."""
    if run.finished or run.diverged or not ID.fullmatch(run.id) or read_manifest(run.training_set) is None:
        return False
    return datetime.now(UTC) - stamp(run) < GOES_ON


def _next_stamp(home: Path) -> str:
    """Now (UTC), but later than every run there, also where the clock was set back: the newest is what is published."""
    stamps = (stamp(run) for run in all_runs(home) if ID.match(run.id))
    return max([datetime.now(UTC), *(stamp + timedelta(seconds=1) for stamp in stamps)]).strftime(STAMP)
