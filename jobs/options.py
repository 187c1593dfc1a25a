"""The one decorator of all commands: common options, configuration, log, and the one place that exits.

    @command
    @click.option("--force", is_flag=True, help="Read the tables even if they have not changed.")
    @click.option("--train-before", "split__train_before", help="Override split.train_before.")
    def train(config: Config, force: bool) -> Result: ...

An option whose parameter has a `__` is a key of the configuration; it goes there and not to the function.
The command returns its Result or raises; errors become exit codes (`bidrec/errors.py`) and one line on stderr.
"""

import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from bidrec import log, machine, prometheus, signals
from bidrec.config import Config, read
from bidrec.damage import is_damage
from bidrec.errors import (
    BidrecError,
    CannotWrite,
    ConfigurationError,
    ContractError,
    DependencyDown,
    InputMissing,
    Interrupted,
)
from bidrec.passwords import masked
from bidrec.refusals import refusal
from jobs.output import Result, emit, stdout_for_results

CONFIG_PLACES = (Path("bidrec.toml"), Path("/etc/bidrec.toml"))
"""Read, the first that is there, where neither --config nor BIDREC_CONFIG names a file."""

# Feast lets through what the clients of its stores raise, whichever feature_store.yaml names.
_STORE_CLIENTS = ("redis", "psycopg", "sqlalchemy")
_OUT_OF_REACH = (
    *("ConnectionError", "TimeoutError", "AuthenticationError", "OperationalError", "ConnectionTimeout"),
    *("BusyLoadingError", "OutOfMemoryError", "ReadOnlyError"),  # of a Redis that is there and cannot
)
BUG = BidrecError.exit_code
LONGEST = 800
"""Characters of a message."""
DAMAGED = "restore what is damaged from a copy, or delete its folder and run again the command that writes it"


def command(function: Callable[..., Result]) -> click.Command:
    """Make a click.Command of `function(config, **own options) -> Result`; its docstring is the help."""

    def run(config_path: Path | None, as_json: bool, verbose: bool, **given: Any) -> None:
        context = click.get_current_context()
        context.exit(_run(function, _called(context), config_path, as_json, verbose, given))

    own = list(reversed(getattr(function, "__click_params__", [])))
    name = function.__name__.replace("_", "-")
    return click.Command(name, callback=run, params=[*own, *_common()], help=function.__doc__)


def _called(context: click.Context) -> str:
    """`train`, or `runs compare`: the command as it is called, without the program's name."""
    if context.parent is None or context.parent.parent is None:
        return context.info_name or "bidrec"
    return f"{_called(context.parent)} {context.info_name}"


def group(name: str, function: Callable[..., Result], *below: click.Command) -> click.Group:
    """A command as `command` makes it, that has further ones below it; called without one of these, it runs itself."""
    own = command(function)

    def run(**given: Any) -> None:
        context = click.get_current_context()
        if context.invoked_subcommand is None:
            context.invoke(own.callback, **given)  # type: ignore[arg-type]
        elif any(context.get_parameter_source(name) == ParameterSource.COMMANDLINE for name in given):
            raise click.UsageError(f"give options after '{context.invoked_subcommand}'", context)

    return click.Group(
        name,
        {one.name or "": one for one in below},
        invoke_without_command=True,
        callback=run,
        params=own.params,
        help=own.help,
    )


def require_source(config: Config) -> None:
    """Raise InputMissing (66) where no source is configured: nothing is ever trained on invented data by accident."""
    if not config.source.name:
        raise InputMissing("no source is configured", hint="set [source] in bidrec.toml or run bidrec demo")


def ascending_days(context: click.Context, parameter: click.Parameter, value: str | None) -> list[date]:
    """Click's callback for DAY,DAY,...; nothing given is no day."""
    try:
        days = [date.fromisoformat(day.strip()) for day in value.split(",")] if value is not None else []
    except ValueError as error:
        raise click.BadParameter(f"{error}: give days as 2025-01-01,2025-03-01") from None
    if days != sorted(set(days)):
        raise click.BadParameter(f"{value} does not ascend: give each day once, the earliest first")
    return days


def _common() -> list[click.Parameter]:
    return [
        click.Option(
            ["--config", "config_path"],
            type=click.Path(path_type=Path),
            envvar="BIDREC_CONFIG",
            help=f"TOML file [env: BIDREC_CONFIG; otherwise {' or '.join(map(str, CONFIG_PLACES))} if there].",
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="Print the result as one JSON object."),
        click.Option(
            ["--wait", "wait_seconds"],
            type=click.FloatRange(min=0),
            metavar="SECONDS",
            help="Wait at most so long for another job of this kind in the home (wait_seconds), then exit 75.",
        ),
        click.Option(["-v", "--verbose"], is_flag=True, help="Log more, and show where an error came from."),
    ]


def _run(
    function: Callable[..., Result],
    name: str,
    config_path: Path | None,
    as_json: bool,
    verbose: bool,
    given: dict[str, Any],
) -> int:
    """Run the command's function, print its result or its error, and return the exit code."""
    started = time.monotonic()
    # Read by OpenMP when torch is imported. Threads that spin while they wait slow a training several times as soon as
    # anything else runs on the machine (measured: 4.5 times on two cores beside one other process).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Likewise: torch would start a thread for each core of the machine, and be held to the container's share of them.
    if machine.cpu_limit():
        os.environ.setdefault("OMP_NUM_THREADS", str(machine.cores()))
    log.configure(verbose)
    gauges: list[prometheus.Gauge] = []
    try:
        with signals.interruptible() as interrupted:
            overrides = {key: value for key, value in given.items() if _is_key(key)}
            own = {key: value for key, value in given.items() if not _is_key(key)}
            with stdout_for_results():
                config = read.load(config_path or _found(), **overrides)
                result = function(config, **own)
                if interrupted():  # and a library dropped it
                    raise signals.Stop
            emit(result, as_json, name)
            code, gauges = result.exit_code, result.gauges
    except (click.UsageError, click.exceptions.Exit):
        raise
    except BaseException as error:  # SystemExit too: a library that exits knows none of our codes
        code = _report(error, interrupted(), verbose)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 2**10)
    seconds = round(time.monotonic() - started, 1)
    log.get(name).info("finished", exit_code=code, seconds=seconds, peak_rss_mb=round(peak / 2**20))
    try:
        prometheus.write(name, exit_code=code, seconds=seconds, peak_bytes=peak, gauges=gauges)
    except CannotWrite as error:
        log.get(name).warning("no metrics are written", reason=error.message)
    return code


def _is_key(parameter: str) -> bool:
    """Whether the parameter is a key of the configuration."""
    return "__" in parameter or parameter == "wait_seconds"


def _found() -> Path | None:
    return next((place for place in CONFIG_PLACES if place.is_file()), None)


def _report(error: BaseException, interrupted: bool, verbose: bool) -> int:
    """Say on stderr what went wrong and what to do about it; returns the exit code."""
    known = _known(error, interrupted)
    if verbose:
        _say("".join(traceback.format_exception(error)).rstrip())
    if known is None:
        _say(f"error: this is a bug in bidrec: {type(error).__name__}: {_one_line(str(error))}")
        _say("hint: please report it with what -v prints")
        return BUG
    _say(f"error: {_one_line(known.message)}")
    if known.hint:
        _say(f"hint: {_one_line(known.hint)}")
    return known.exit_code


def _known(error: BaseException, interrupted: bool) -> BidrecError | None:
    """The error as one of ours, or None for a bug."""
    if isinstance(error, Interrupted):
        return error
    if interrupted or isinstance(error, KeyboardInterrupt):
        return Interrupted("stopped by a signal", hint="run the same command again")
    if isinstance(error, BidrecError):
        return error
    if refusal(error) is not None:
        return CannotWrite(str(error), hint="check space and permission")
    if type(error).__module__ == "sqlite3" and "database is locked" in str(error):
        return Interrupted(f"the online store is being written: {error}", hint="run the same command again")
    if type(error).__module__.split(".")[0] in _STORE_CLIENTS and type(error).__name__ in _OUT_OF_REACH:
        return DependencyDown(str(error), hint="see to the server that feature_store.yaml names, then run again")
    in_duckdb = type(error).__module__ in ("duckdb", "_duckdb")
    if in_duckdb and type(error).__name__ == "OutOfMemoryException":
        return ConfigurationError(str(error), hint="raise memory_limit")
    if is_damage(error):
        return ContractError(f"a file cannot be read: {error}", hint=DAMAGED)
    return None


def _one_line(text: str) -> str:
    """The text in one line; of one that quotes a whole document, its beginning and its end."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 200]} ... {line[-200:]}"


def _say(text: str) -> None:
    """Print to stderr, with the password of any address in it masked."""
    click.echo(masked(text), err=True)
