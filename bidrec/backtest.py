"""The same training at several cutoffs: how well it does on average, how much that varies, and how a model ages.

Reads   the source, as training does; runs/ID/metrics.json of each cutoff's run
Writes  runs/, a run for each cutoff that has none yet; nothing is published
"""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from bidrec import flow
from bidrec.config import Config
from bidrec.errors import ConfigurationError
from bidrec.operations import log
from bidrec.ranking.names import BEST_BASELINE, CHOSEN_BY, MODEL, TOWERS
from bidrec.training_set.build import read_keys
from bidrec.training_set.splits import bounds_of, check_windows, day_of
from bidrec.training_set.tables import open_tables

RANKERS = (MODEL, TOWERS, BEST_BASELINE)
METRICS = (CHOSEN_BY, "recall@10", "ndcg@10")


def measure(config: Config, cutoffs: Sequence[date]) -> dict[str, Any]:
    """Train and evaluate at each cutoff, with a test window of `split.test_days`, and sum the evaluations up.

    Returns `cutoffs`, one entry each (`result_of`), and what `summary` makes of them. A cutoff whose run is in the home
    already, made from the same data and settings, is not trained again. Raises ConfigurationError (64) before any
    training where a cutoff leaves a window without bids, Interrupted (75) on SIGTERM: runs that are finished stay, and
    the one under way is gone on with by the next call.
    """
    configs = {cutoff: _at(config, cutoff) for cutoff in cutoffs}
    _check(configs)
    results = []
    for number, (cutoff, its_config) in enumerate(configs.items(), 1):
        log.get("backtest").info(f"cutoff {number} of {len(configs)}", train_before=cutoff.isoformat())
        results.append(result_of(cutoff, _metrics(its_config)))
    return {"test_days": config.split.test_days, "cutoffs": results, **summary(results)}


def result_of(cutoff: date, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What a backtest keeps of a run's metrics.json, by mode: `metrics[mode][ranker][metric]` and `by_week[mode]`.

    The rankers are RANKERS; `baseline[mode]` says which one is the best baseline.
    """
    best = {mode: _best(table, metrics["baselines"]) for mode, table in metrics["metrics"].items()}
    return {
        "cutoff": cutoff.isoformat(),
        "run": metrics["run"],
        "window": metrics["window"],
        "baseline": best,
        "metrics": {
            mode: {
                ranker: {metric: table[_name(ranker, best[mode])][metric] for metric in METRICS} for ranker in RANKERS
            }
            for mode, table in metrics["metrics"].items()
        },
        "by_week": {
            mode: [
                {"week": week["week"], "notices": week["notices"]}
                | {ranker: week[CHOSEN_BY][_name(ranker, best[mode])] for ranker in RANKERS}
                for week in weeks
            ]
            for mode, weeks in metrics["by_week"].items()
        },
    }


def summary(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Over the cutoffs: `summary[mode][ranker][metric]`, and `by_week[mode]`, Recall@100 by weeks since the cutoff.

    A summary has mean, sd (of a sample; None for a single cutoff), min and max; each cutoff counts the same. A week's
    figure is the mean over its notices, whichever cutoff they follow; `cutoffs` says how many have that week.
    """
    modes = results[0]["metrics"]
    return {
        "summary": {
            mode: {
                ranker: {
                    metric: _spread([one["metrics"][mode][ranker][metric] for one in results]) for metric in METRICS
                }
                for ranker in RANKERS
            }
            for mode in modes
        },
        "by_week": {mode: _weeks([week for one in results for week in one["by_week"][mode]]) for mode in modes},
    }


def _at(config: Config, cutoff: date) -> Config:
    return dataclasses.replace(config, split=dataclasses.replace(config.split, train_before=cutoff, test_before=None))


def _check(configs: Mapping[date, Config]) -> None:
    """Refuse what would only fail after hours of training at the other cutoffs."""
    any_config = next(iter(configs.values()))
    schema, _ = flow.prepare(any_config)
    with open_tables(any_config, schema) as tables:
        keys = read_keys(tables)
    data_until = int(keys.log.known_at.max(initial=0))
    for cutoff, config in configs.items():
        bounds = bounds_of(config.split, data_until)
        try:
            check_windows(bounds, keys.published_at, keys.pairs.notice, keys.pairs.known_at)
        except ConfigurationError as error:
            raise ConfigurationError(f"cutoff {cutoff}: {error.message}", hint=error.hint) from None
        if bounds.test_before > data_until:
            log.get("backtest").warning(
                "the test window ends after the data", train_before=cutoff.isoformat(), data_until=day_of(data_until)
            )


def _metrics(config: Config) -> dict[str, Any]:
    """The evaluation of the cutoff's run; made anew where it was measured in other modes than are asked for now."""
    run = flow.train(config, backtest=True)
    metrics = run.metrics()
    modes = {"frozen", "rolling"} if config.evaluation.refresh_days else {"frozen"}
    return metrics if metrics.get("by_week", {}).keys() == modes else flow.evaluate(config, run)


def _best(table: Mapping[str, Any], baselines: Sequence[str]) -> str:
    """In hindsight, on the test window itself."""
    return max(baselines, key=lambda name: table[name][CHOSEN_BY])


def _name(ranker: str, best_baseline: str) -> str:
    return best_baseline if ranker == BEST_BASELINE else ranker


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    return {
        "mean": statistics.fmean(values),
        "sd": statistics.stdev(values) if len(values) > 1 else None,
        "min": min(values),
        "max": max(values),
    }


def _weeks(weeks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    averaged = []
    for number in sorted({week["week"] for week in weeks}):
        same = [week for week in weeks if week["week"] == number]
        notices = [week["notices"] for week in same]
        averaged.append(
            {"week": number, "cutoffs": len(same), "notices": sum(notices)}
            | {ranker: statistics.fmean([week[ranker] for week in same], weights=notices) for ranker in RANKERS}
        )
    return averaged
