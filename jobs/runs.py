"""bidrec runs: the runs in the home and where each of them stands; compare two, keep some, delete the old ones."""

from typing import Any

import click

from bidrec.config import Config
from bidrec.ranking.names import BEST_BASELINE, CHOSEN_BY, MODEL
from jobs.options import command, group
from jobs.output import Result


def _list(config: Config) -> Result:
    """List the runs, the newest last; or compare two, pin one, delete old ones."""
    from rich.table import Table

    from bidrec.runs.found import all_runs, published_run

    published = published_run(config.home_path)
    rows = [_facts(run, published) for run in all_runs(config.home_path)]
    if not rows:
        return Result(data={"runs": []}, text=f"No run in {config.home_path / 'runs'} yet: bidrec train makes one.")
    table = Table()
    # Two facts to a cell: an id is copied, and never cut on a terminal of 80 columns.
    for heading in ("run\nstays as", "state\nmade by", "train before\ntest notices", "Recall@100\nbest baseline"):
        table.add_column(heading, no_wrap=True)
    for row in rows:
        stays = ", ".join(word for word in ("published", "pinned") if row[word])
        other = "" if row["of_this_code"] else ", other code"
        pairs = [(row["run"], stays), (row["state"], row["made_by"] + other)]
        recall = None if row["recall@100"] is None else f"{row['recall@100']:.3f}"
        pairs += [(row["train_before"], row["test_notices"]), (recall, row["best_baseline"])]
        table.add_row(*("\n".join(str(value) for value in pair if value is not None) for pair in pairs))
    return Result(data={"runs": rows}, text=table)


def _facts(run: Any, published: str | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "run": run.id,
        "state": "finished" if run.finished else "unfinished",
        "made_by": "backtest" if run.backtest else "train",
        "of_this_code": run.of_this_code,
    }
    measured = ("train_before", "test_notices", "recall@100", "best_baseline")
    if run.finished:
        metrics = run.metrics()
        frozen, best = metrics["metrics"]["frozen"], metrics[BEST_BASELINE]
        facts |= {
            "train_before": metrics["window"]["from"][:10],
            "test_notices": metrics["window"]["notices"],
            "recall@100": round(frozen[MODEL][CHOSEN_BY], 3),
            "best_baseline": f"{best} {frozen[best][CHOSEN_BY]:.3f}",
        }
    return dict.fromkeys((*facts, *measured)) | facts | {"published": run.id == published, "pinned": run.pinned}


@command
@click.argument("a")
@click.argument("b")
def compare(config: Config, a: str, b: str) -> Result:
    """Compare the figures and settings of runs A and B."""
    from rich.console import Group
    from rich.table import Table

    from bidrec.reporting.two_runs import compare as side_by_side
    from bidrec.runs.found import named

    found = side_by_side(named(config.home_path, a), named(config.home_path, b))
    figures = Table("mode", "ranker", "metric", title=f"A: {found['a']}   B: {found['b']}", title_justify="left")
    for heading in ("A", "B", "B - A"):
        figures.add_column(heading, justify="right")
    for row in found["figures"]:
        numbers = (f"{row['a']:.3f}", f"{row['b']:.3f}", f"{row['difference']:+.3f}")
        figures.add_row(row["mode"], row["ranker"].replace("_", " "), row["metric"], *numbers)
    settings = Table(title="settings that differ" if found["settings"] else "the same settings")
    for heading in ("key", "A", "B"):
        settings.add_column(heading, overflow="fold")
    for row in found["settings"]:
        settings.add_row(row["key"], str(row["a"]), str(row["b"]))
    doubt = (
        ""
        if found["comparable"]
        else "Not the same test window of the same data, measured by the same code: the figures do not compare."
    )
    return Result(data=found, text=Group(*([doubt] if doubt else []), figures, settings))


@command
@click.option("--keep", required=True, type=click.IntRange(min=0), help="How many of the newest finished runs stay.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
def prune(config: Config, keep: int, dry_run: bool) -> Result:
    """Delete old runs.

    Keeps the published one, pinned ones, and an unfinished one that a training may resume.
    """
    from bidrec.runs.found import all_runs
    from bidrec.runs.prune import prune as delete

    gone = [run.id for run in delete(config.home_path, keep, dry_run=dry_run)]
    kept = [run.id for run in all_runs(config.home_path) if run.id not in gone]
    word = "would be deleted" if dry_run else "deleted"
    text = "\n".join([f"{len(gone)} {word}, {len(kept)} kept", *(f"  {word}: {run_id}" for run_id in gone)])
    return Result(data={"deleted": gone, "kept": kept, "dry_run": dry_run}, text=text)


@command
@click.argument("run_id", metavar="RUN")
def pin(config: Config, run_id: str) -> Result:
    """Protect a run from pruning."""
    from bidrec.runs.found import named

    named(config.home_path, run_id).pin()
    return Result(data={"run": run_id, "pinned": True}, text=f"{run_id} stays")


@command
@click.argument("run_id", metavar="RUN")
def unpin(config: Config, run_id: str) -> Result:
    """Let a run be pruned again."""
    from bidrec.runs.found import named

    named(config.home_path, run_id).unpin()
    return Result(data={"run": run_id, "pinned": False}, text=f"{run_id} may be pruned")


runs = group("runs", _list, compare, prune, pin, unpin)
