"""What each ingredient is worth: from the recipe that bidrec replaces to its own ranking, one change a rung.

    python -m benchmarks.ablation --json                                    an invented market, a few minutes
    python -m benchmarks.ablation --config examples/gepnic.toml --train-before 2023-04-01 --test-before 2023-07-01

All rungs learn from one training set with one seed and rank the same notices, frozen at the cutoff, beside popularity,
the summed rival and, on an invented market, the oracle. The company id, which bidrec's own towers do without, is put
into the training set's arrays here (with_company_id), for companies with a bid known before the cutoff. Whether the
last weeks before the cutoff are trained on (training.refit) is the same for all rungs.
"""

import argparse
import dataclasses
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bidrec import flow
from bidrec.config import Config, Loss, Model, Source, files
from bidrec.operations import log
from bidrec.ranking.baselines import fit_baselines
from bidrec.ranking.counts import Fields
from bidrec.ranking.eligibility import Eligibility
from bidrec.ranking.evaluate import Period, evaluate_periods
from bidrec.ranking.ground_truth import Truth, known_companies
from bidrec.ranking.pair_features import Evidence, Towers
from bidrec.ranking.ranker import Ranker
from bidrec.ranking.reranker import FinalRanker, learn_blend
from bidrec.ranking.run_evaluation import OracleRanker
from bidrec.runs.run import Run
from bidrec.simulator import simulate
from bidrec.simulator.oracle import has_oracle
from bidrec.training import loop
from bidrec.training_set.arrays import Side, TrainingSet
from bidrec.training_set.build import build_training_set

METRICS = ("recall@10", "recall@100", "ndcg@10")
SEED_EPOCHS = 5
"""Of the recipe that bidrec replaces, and of the rungs on static features."""
FINAL = "final: the second stage over it"
RIVALS = ("popularity", "summed")


@dataclasses.dataclass(frozen=True)
class Rung:
    name: str
    config: Config
    company_id: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, help="a configuration with a source (default: an invented market)")
    parser.add_argument("--train-before", help="override split.train_before")
    parser.add_argument("--test-before", help="override split.test_before")
    for name, default in (("notices", 4_000), ("companies", 1_500), ("bids", 35_000)):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"of the invented market (default: {default})")
    parser.add_argument("--epochs", type=int, help="of every rung")
    parser.add_argument("--folder", type=Path, help="where everything is made (default: a temporary folder)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    log.configure(False)
    with tempfile.TemporaryDirectory(prefix="bidrec-ablation-", dir=options.folder) as folder:
        found = measure(configured(options, Path(folder)), Path(folder), options.epochs or SEED_EPOCHS)
    print(json.dumps(found) if options.json else table(found))


def configured(options: argparse.Namespace, folder: Path) -> Config:
    """The configuration with its home in the folder; without one, that of a market invented there."""
    given = {"split__train_before": options.train_before, "split__test_before": options.test_before}
    config = files.load(options.config, training__epochs=options.epochs, **given)
    if options.config is None:
        simulate(folder / "source", notices=options.notices, companies=options.companies, bids=options.bids, seed=7)
        config = dataclasses.replace(config, source=Source(name="koneps", path=str(folder / "source")))
    return dataclasses.replace(config, home=str(folder / "home"))


def ladder(config: Config, seed_epochs: int = SEED_EPOCHS) -> list[Rung]:
    """Each rung's configuration: the one before it with what the name says; the last is `config` itself."""

    def changed(base: Config, **tables: dict[str, Any]) -> Config:
        parts = {name: dataclasses.replace(getattr(base, name), **values) for name, values in tables.items()}
        return dataclasses.replace(base, **parts)

    seed = changed(
        dataclasses.replace(config, model=Model(kind="static"), loss=Loss(kind="in_batch")),
        model={"table_dim": 32, "hidden": (128, 64), "dropout": 0.1, "temperature": 1.0, "learn_temperature": False},
        training={"batch_size": 256, "learning_rate": 1e-3, "weight_decay": 1e-5, "epochs": seed_epochs},
    )
    temperature = changed(seed, model={"temperature": 0.07, "learn_temperature": True})
    corrected: dict[str, Any] = {"logq": True, "other_bidders": "masked"}
    logq = changed(temperature, loss=corrected)
    one_pair = changed(config, model={"members": 1})
    history = dataclasses.replace(one_pair, loss=dataclasses.replace(Loss(kind="in_batch"), **corrected))
    return [
        Rung("seed: static features, in-batch, temperature 1", seed),
        Rung("+ company id", seed, company_id=True),
        Rung("+ temperature .07, learned", temperature, company_id=True),
        Rung("+ logQ and mask", logq, company_id=True),
        Rung("history instead of id and static features, in-batch", history),
        Rung("full softmax, all bidders as targets", one_pair),
        Rung("two pairs of towers side by side", config),
    ]


def measure(config: Config, folder: Path, seed_epochs: int) -> dict[str, Any]:
    """Train every rung and rank the test window with all of them."""
    schema, _ = flow.prepare(config)
    build_training_set(config, schema, folder / "run" / "training_set")
    ts = TrainingSet.open(folder / "run" / "training_set")
    rankers, seconds = {}, {}
    for name, ranker, took in climbed(config, ts, folder, seed_epochs):
        rankers[name], seconds[name] = ranker, round(took, 1)
    fields = Fields.of(ts)
    rivals = fit_baselines(ts, fields, ts.cutoff, config.evaluation)
    rankers |= {name: rivals[name] for name in RIVALS}
    if has_oracle(Path(config.source.path)):
        rankers["oracle"] = OracleRanker(Path(config.source.path), ts)
    truth = Truth.of(ts, ts.cutoff, ts.test_before)
    known_C = known_companies(ts, ts.cutoff)
    eligible = Eligibility.of(ts, config.ranking).as_of(ts.cutoff)
    period = Period(slice(0, len(truth.notices)), rankers, known_C, eligible)
    result = evaluate_periods([period], truth, config.evaluation, model=FINAL, mode="frozen")
    rows = result["metrics"]["frozen"]
    return {
        "window": result["window"],
        "rungs": [
            {"name": name, "seconds": seconds.get(name)}
            | {metric: rows[name][metric] for metric in METRICS}
            | {"ci": {metric: rows[name]["ci"][metric] for metric in METRICS}}
            for name in (*rankers, "ceiling")
        ],
    }


def climbed(config: Config, ts: TrainingSet, folder: Path, seed_epochs: int) -> Iterator[tuple[str, Ranker, float]]:
    """The rungs' rankers with the seconds each took to train; the last is trained and then ranked by both stages."""
    known_C = known_companies(ts, ts.cutoff)
    with_id = with_company_id(ts, known_C)
    for number, rung in enumerate(ladder(config, seed_epochs)):
        began, run = time.monotonic(), folder / "run" / str(number)
        log.get("ablation").info(rung.name)
        own = with_id if rung.company_id else ts
        loop.train(rung.config, own, run)
        towers = Towers(own, run / "model")
        yield rung.name, towers.as_of(ts.cutoff), time.monotonic() - began
    began, eligibility = time.monotonic(), Eligibility.of(ts, config.ranking)
    blend, vectors = learn_blend(config, Run(run), ts), towers.as_of(ts.cutoff)
    evidence = Evidence(ts, Fields.of(ts), ts.cutoff, vectors, known_C, eligibility, config.ranking)
    yield FINAL, FinalRanker(evidence, blend, config.ranking), time.monotonic() - began


def with_company_id(ts: TrainingSet, known_C: np.ndarray) -> TrainingSet:
    """The set with each known company's row as one more categorical value of its profiles; the others are unknown."""
    side = ts.profile
    base = side.attribute_rows
    own = np.where(known_C[ts.profile_company], ts.profile_company + 1, 0) + base
    ends = np.cumsum(side.attribute_lengths.sum(axis=1, dtype=np.int64))
    values = np.insert(side.attribute_values, ends, own.astype(np.int32))
    lengths = np.concatenate([side.attribute_lengths, np.ones((side.rows, 1), np.int32)], axis=1)
    entry = {"name": "company_id", "read": "categorical", "base": base, "size": ts.companies + 1}
    schema = side.schema | {
        "attributes": [*side.schema["attributes"], entry],
        "attribute_rows": base + ts.companies + 1,
    }
    profile: Side = dataclasses.replace(side, schema=schema, attribute_values=values, attribute_lengths=lengths)
    return dataclasses.replace(ts, profile=profile, schema=ts.schema | {"profile": schema})


def table(found: dict[str, Any]) -> str:
    """The rungs as Markdown."""
    lines = ["| rung | R@10 | R@100 | NDCG@10 | seconds |", "|---|---|---|---|---|"]
    for row in found["rungs"]:
        figures = " | ".join(f"{row[metric]:.3f}" for metric in METRICS)
        lines.append(f"| {row['name']} | {figures} | {row['seconds'] or ''} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
