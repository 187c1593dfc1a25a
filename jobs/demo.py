"""bidrec demo: the whole flow on an invented market, from nothing to recommendations."""

import dataclasses
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bidrec.config import Config, Source, Split
from bidrec.reporting.prometheus import of_run
from bidrec.runs.run import Run
from jobs.options import command
from jobs.output import Result

if TYPE_CHECKING:
    from rich.text import Text

STAGES = (
    "simulate",
    "train (ingest, features, feast apply, training set, epochs, evaluation)",
    "write-back",
    "recommend",
)


@command
@click.option("--notices", default=12_000, show_default=True, type=click.IntRange(min=100), help="Notices to invent.")
@click.option("--companies", default=3_000, show_default=True, type=click.IntRange(min=10), help="Companies to invent.")
@click.option(
    "--bids", default=100_000, show_default=True, type=click.IntRange(min=100), help="Bids to invent, roughly."
)
@click.option("--seed", default=7, show_default=True, help="The same seed makes the same market.")
def demo(config: Config, notices: int, companies: int, bids: int, seed: int) -> Result:
    """Simulate a market, then train, evaluate, write back and recommend, in a home of its own."""
    from bidrec import flow
    from bidrec.publishing.recommend import Published

    home, own_home = config.home_path / "demo", config.home != os.environ.get("BIDREC_HOME", "")
    config = _demo_config(config, home)
    _stage(1)
    _simulate(config, notices, companies, bids, seed)
    _stage(2)
    run = flow.train(config)
    metrics = run.metrics()
    _stage(3)
    flow.publish(config, run.id)
    flow.describe(config, run)  # again: now it says that the run is published
    _stage(4)
    return _result(home, metrics, run, Published(home), own_home)


def _demo_config(config: Config, home: Path) -> Config:
    """The user's settings with a source, a home and a split that suit the invented market.

    One pair of towers: a second one takes as long again, and adds less here than on real bids.
    """
    return dataclasses.replace(
        config,
        home=str(home),
        source=Source(name="koneps", path=str(home / "source")),
        split=Split(),
        model=dataclasses.replace(config.model, members=1),
    )


def _stage(number: int) -> None:
    from bidrec.operations import log

    log.get("demo").info(f"step {number} of {len(STAGES)}: {STAGES[number - 1]}")


def _simulate(config: Config, notices: int, companies: int, bids: int, seed: int) -> None:
    """Invent the market, unless the same one is there.

    Raises ConfigurationError (64) in a folder that is no home, and on numbers that make no market.
    """
    from bidrec.simulator import require_possible, simulate
    from bidrec.storage.locks import one_job_at_a_time
    from bidrec.storage.sealed import read_manifest
    from bidrec.storage.whole import writing

    source, lake = Path(config.source.path), config.home_path / "lake"
    asked = {"notice": notices, "company": companies, "bid": bids}
    there = read_manifest(source)
    if there and there["seed"] == seed and there.get("asked") == asked:
        return
    require_possible(source, notices=notices, companies=companies, bids=bids, seed=seed)
    with one_job_at_a_time(config.home_path, "ingest", config.wait_seconds), writing(lake):
        # Another market is no later state of this one: its rows must not be added to the lake.
        if lake.exists():
            shutil.rmtree(lake)
    simulate(source, notices=notices, companies=companies, bids=bids, seed=seed)


def _result(home: Path, metrics: dict[str, Any], run: Run, published: Any, own_home: bool) -> Result:
    from rich.console import Group

    from jobs.list_tables import companies_table, notices_table
    from jobs.metrics_table import metrics_table

    data: dict[str, Any] = {"home": str(home), "run": str(run.folder), "report": str(run.page), "metrics": metrics}
    parts: list[Any] = [metrics_table(metrics, run.folder)]
    notice_id = published.an_open_notice()
    if notice_id is not None:
        notice, companies = published.companies_for(notice_id, 10)
        company, notices = published.notices_for(companies[0]["company_id"], 10)
        data |= {"notice": notice, "companies": companies, "company": company, "notices": notices}
        parts += [
            "",
            companies_table(notice, companies, published.as_of, published.zone),
            "",
            notices_table(company, notices, published.as_of, published.zone),
        ]
    parts += ["", _where(home, run.page, notice_id, own_home)]
    return Result(data=data, text=Group(*parts), gauges=of_run(metrics))


def _where(home: Path, page: Path, notice_id: str | None, own_home: bool) -> "Text":
    """Lines to be copied: none is broken, however narrow the terminal.

    own_home: the configuration names a home, which comes before BIDREC_HOME; the lines put that file aside.
    """
    from rich.text import Text

    # Called by make, the program is on nobody's PATH.
    program = "bidrec" if shutil.which("bidrec") else sys.argv[0]
    call = f"{'BIDREC_CONFIG=/dev/null ' if own_home else ''}BIDREC_HOME={home} {program}"
    lines = (
        f"Everything is in {home}:",
        "  source/     the invented tables, with the columns of KONEPS, and the oracle",
        "  lake/       the same as canonical tables       quarantine/  rows that were refused, with reasons",
        "  features/   what Feast serves                  feast/       its registry and online store",
        "  runs/       training sets, models, metrics     published/   embeddings and recommendations",
        f"Companies for a notice: {call} recommend --notice {notice_id or 'ID'}",
        f"Browse what was published: {call} explore",
        f"Report of the run: {page.as_uri()}",
    )
    return Text("\n".join(lines), no_wrap=True, overflow="ignore")
