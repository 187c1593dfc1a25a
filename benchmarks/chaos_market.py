"""A small invented market that ends today, and the home as it stands before each job.

    published   a run was trained on all but the newest days, written back and brought online
    ingested    the newest days are in the lake
    built       they are in the feature tables too
    crowded     the same, with two older runs
    unapplied   built, with neither registry nor online store

It ends today because what a second ingest brings is known from the time of its reading: in a market of the past, no
notice would be open any more. Every job runs in the same folder, whose path is in Feast's registry.
"""

import shutil
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from benchmarks.chaos_jobs import ERASED, JOBS, Job, import_everything
from benchmarks.chaos_process import in_child, run_job
from benchmarks.chaos_writes import Strike
from bidrec.features.feature_store import repository
from bidrec.runs.found import all_runs
from bidrec.simulator import simulate
from jobs.cli import main as bidrec_command

NEWEST_DAYS = 3
SETTINGS = """
[source]
name = "koneps"
path = "{source}"
[split]
train_before = {train_before}
test_before = {test_before}
validation_days = 30
[model]
embedding_dim = 8
table_dim = 8
hidden = [16]
company_hidden = 16
history_length = 8
[training]
batch_size = 128
epochs = 1
refit = false
checkpoint_seconds = 1
[evaluation]
bootstrap = 20
refresh_days = 0
[publish]
top_k = 10
margin = 1.0
"""


@dataclass(frozen=True)
class Market:
    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "BIDREC_HOME": str(self.home),
            "BIDREC_CONFIG": str(self.folder / "bidrec.toml"),
            "FEATURE_REPO_DIR_ENV_VAR": str(repository()),
            "FEAST_USAGE": "False",
        }

    def keep_as(self, name: str) -> None:
        shutil.copytree(self.home, self.folder / "snapshots" / name, symlinks=True)

    def go_back_to(self, name: str) -> None:
        shutil.rmtree(self.home, ignore_errors=True)  # the folder itself stays where it is a disk of its own
        shutil.copytree(self.folder / "snapshots" / name, self.home, symlinks=True, dirs_exist_ok=True)


def prepare(folder: Path) -> Market:
    """Invent the market and bring its home to each of the snapshots."""
    import_everything()
    market = Market(folder.resolve())
    if (market.folder / "snapshots" / "unapplied").is_dir():
        return market
    market.folder.mkdir(exist_ok=True)
    today = datetime.now().replace(hour=0, minute=0, second=0, microsecond=0)
    in_child(lambda: _invent(market.folder, today))
    _use_source(market, "before")
    (market.folder / "bidrec.toml").write_text(
        SETTINGS.format(
            source=market.folder / "source",
            train_before=(today - timedelta(days=45)).date(),
            test_before=(today - timedelta(days=NEWEST_DAYS)).date(),
        ),
        encoding="utf-8",
    )
    _run(market, Job("train", "", bidrec_command, ["train"]))
    _run(market, Job("write-back", "", bidrec_command, ["write-back"]))
    market.keep_as("published")
    _use_source(market, "after")
    _run(market, JOBS["ingest"])
    market.keep_as("ingested")
    _run(market, JOBS["features"])
    market.keep_as("built")
    for older in ("20000101T000000Z-000000", "20010101T000000Z-000000"):
        shutil.copytree(all_runs(market.home)[-1].folder, market.home / "runs" / older)
    market.keep_as("crowded")
    market.go_back_to("built")
    shutil.rmtree(market.home / "feast")
    market.keep_as("unapplied")
    return market


def _run(market: Market, job: Job) -> None:
    outcome = run_job(job, market, Strike.none())
    print(f"{job.name:12} {outcome.seconds:.1f} s, {outcome.cpu:.1f} CPU s", file=sys.stderr)
    if outcome.code:
        raise SystemExit(f"{job.name} exits {outcome.code}\n{outcome.stderr[-3000:]}")


def _use_source(market: Market, stage: str) -> None:
    shutil.rmtree(market.folder / "source", ignore_errors=True)
    shutil.copytree(market.folder / stage, market.folder / "source")


def _invent(folder: Path, today: datetime) -> None:
    """The source after the newest days, and before them: what was registered, or opened, by then."""
    after, before = folder / "after", folder / "before"
    simulate(after, notices=400, companies=80, bids=3000, seed=3, days=400, end=today)
    shutil.rmtree(after / "oracle")
    moment = f"TIMESTAMP '{today - timedelta(days=NEWEST_DAYS)}'"
    bidders = f"SELECT bidprccorpbizrno FROM '{after}/bid/*.parquet' GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 2"
    busiest = [number for (number,) in duckdb.execute(bidders).fetchall()]
    (folder / ERASED).write_text("\n".join(busiest), encoding="utf-8")
    opened = f"(SELECT bidntceno, bidntceord FROM '{after}/notice/*.parquet' WHERE opengdt < {moment})"
    known = {
        "notice": f"WHERE rgstdt < {moment}",
        "company": f"WHERE rgstdt < {moment}",
        "bid": f"WHERE (bidntceno, bidntceord) IN {opened}",
    }
    for table, condition in known.items():
        (before / table).mkdir(parents=True)
        duckdb.execute(
            f"COPY (FROM '{after}/{table}/*.parquet' {condition}) TO '{before}/{table}/1.parquet' (FORMAT parquet)"
        )
