"""The console script `bidrec`: a table of commands, each imported only when it is called.

`bidrec --help` is printed from the table alone, so it costs nothing of what the commands need (Feast, torch).
"""

import importlib
import os
import sys
from typing import Any

import click

from bidrec.errors import nearest
from bidrec.operations import signals

# name: (where the click.Command is, one line of help)
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("jobs.demo:demo", "Run the whole flow on an invented market, in 90 seconds."),
    "simulate": ("jobs.simulate:simulate", "Invent a market whose true bid probabilities are known."),
    "init": ("jobs.init:init", "Write a commented configuration for a source."),
    "check": ("jobs.check:check", "Check configuration and source before training."),
    "ingest": ("jobs.ingest:ingest", "Read the source's tables, check them, update the lake."),
    "features": (
        "jobs.features:features",
        "List the fields, how each is read, and what it is worth.",
    ),
    "train": ("jobs.train:train", "Build the training set, train the model, evaluate it."),
    "evaluate": ("jobs.evaluate:evaluate", "Evaluate a run again, beside the baselines."),
    "backtest": ("jobs.backtest:backtest", "Train and evaluate at several cutoffs; see how a model ages."),
    "tune": ("jobs.tune:tune", "Search for better settings on windows before the test window."),
    "write-back": ("jobs.write_back:write_back", "Publish embeddings and recommendations from today's features."),
    "recommend": ("jobs.recommend:recommend", "List companies for a notice, or open notices for a company."),
    "explore": ("jobs.explore:explore", "Browse what was published."),
    "export-towers": ("jobs.export_towers:export_towers", "Write a run's towers as files that torch alone can read."),
    "runs": ("jobs.runs:runs", "List the runs; compare two, pin one, delete old ones."),
    "erase": ("jobs.erase:erase", "Erase companies and notices from the home, for good."),
    "report": ("jobs.report:report", "Write a run's report: what went in, how good it is."),
    "feast": ("jobs.feast:feast", "Run one of Feast's own commands in this home."),
    "doctor": ("jobs.doctor:doctor", "Inspect this machine and the home; say what is missing."),
}


class LazyGroup(click.Group):
    """A group whose commands are those of COMMANDS."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        if sys.stderr is None:  # closed by the caller: descriptor 2 shall be no file of ours, which a library writes to
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            sys.stderr = os.fdopen(2, "w", encoding="utf-8")
        with signals.starting():
            try:
                return super().main(*args, **kwargs)
            except SystemExit as end:
                given = args or kwargs.get("args") is not None
                if not given and isinstance(end.code, int):  # the process's own command line: nothing comes after it
                    signals.leave(end.code)
                raise

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        found: click.Command = getattr(importlib.import_module(module), attribute)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        near = nearest(args[0], COMMANDS)
        if near and near != args[0]:
            raise click.UsageError(f"No such command '{args[0]}', did you mean '{near}'?", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="bidrec", message="%(prog)s %(version)s")
def main() -> None:
    """Recommend companies for public tenders, and open tenders for companies."""


if __name__ == "__main__":  # torchrun -m jobs.cli train
    main(prog_name="bidrec")
