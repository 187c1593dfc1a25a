"""The one decorator of all commands: common options, configuration, log, and the one place that exits.

    @command
    @click.option("--force", is_flag=True, help="Read the tables even if they have not changed.")
    @click.option("--train-before", "split__train_before", help="Override split.train_before.")
    def train(config: Config, force: bool) -> Result: ...

An option whose parameter has a `__` is a key of the configuration; it goes there and not to the function.
The command returns its Result or raises; of an error jobs/failures.py makes an exit code and one line on stderr.
"""

import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from bidrec.config import Config, files
from bidrec.errors import CannotWrite, InputMissing
from bidrec.operations import log, machine, signals
from bidrec.reporting import prometheus
from jobs.failures import report
from jobs.output import Result, emit, stdout_for_results

CONFIG_PLACES = (Path("bidrec.toml"), Path("/etc/bidrec.toml"))
"""Read, the first that is there, where neither --config nor BIDREC_CONFIG names a file."""


class _Moment(click.DateTime):
    """Of an option for a moment: without an offset it is UTC, with one it becomes it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        moment: datetime = super().convert(value, param, ctx)
        try:
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except OverflowError:
            self.fail(f"{value} is in no year from 1 to 9999 (UTC)", param, ctx)


TIME = _Moment(["%Y-%m-%d", *(f"%Y-%m-%dT{clock}{zone}" for clock in ("%H:%M", "%H:%M:%S") for zone in ("", "%z"))])


def command(function: Callable[..., Result]) -> click.Command:
    """Make a click.Command of `function(config, **own options) -> Result`; its docstring is the help."""

    def run(config_path: Path | None, as_json: bool, verbose: bool, **given: Any) -> None:
        context = click.get_current_context()
        context.exit(_run(function, _called(context), config_path, as_json, verbose, given))

    own = list(reversed(getattr(function, "__click_params__", [])))
    name = function.__name__.replace("_", "-")
    return _Command(name, callback=run, params=[*own, *_common()], help=function.__doc__)


class _Command(click.Command):
    """One whose wrong usage is an end of the job too, which its log and its metrics tell."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            log.configure()
            called = _called(error.ctx) if error.ctx else info_name or self.name or ""
            _end(called, error.exit_code, time.monotonic(), said={"error": error.format_message()})
            raise


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
    if config.source.name:
        return
    invented = config.home_path / "source"
    if (invented / "manifest.json").is_file():  # the home is that of bidrec demo
        hint = f"this home's invented tables: bidrec init --source koneps --path {invented}"
    else:
        hint = "bidrec init writes a configuration that names one; bidrec demo invents tables"
    raise InputMissing("no source is configured", hint=hint)


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
        click.Option(
            ["--json", "as_json"], is_flag=True, help="Print the result as one JSON object, on the last line of stdout."
        ),
        click.Option(
            ["--wait", "wait_seconds"],
            type=click.FloatRange(min=0),
            metavar="SECONDS",
            help="Wait up to this long for another job of this kind in the home (wait_seconds), then exit 75.",
        ),
        click.Option(["-v", "--verbose"], is_flag=True, help="Log more, and show the traceback of an error."),
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
    _set_threads()
    log.configure(verbose)
    gauges: list[prometheus.Gauge] = []
    said: dict[str, str] = {}
    try:
        with signals.interruptible() as interrupted:
            result = _result(function, config_path, given)
            if interrupted():  # and a library dropped it
                raise signals.Stop
            emit(result, as_json, name)
            code, gauges = result.exit_code, result.gauges
    except click.UsageError as error:
        _end(name, error.exit_code, started, said={"error": error.format_message()})
        raise
    except click.exceptions.Exit:
        raise
    except BaseException as error:  # SystemExit too: a library that exits knows none of our codes
        code, said = report(error, interrupted(), verbose)
    _end(name, code, started, said, gauges)
    return code


def _set_threads() -> None:
    """How torch's threads work, which OpenMP reads when it is imported."""
    # Threads that spin while they wait slow a training several times as soon as anything else runs on the machine
    # (measured: 4.5 times on two cores beside one other process).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # There would be one for each core of the machine, held to the container's share of them.
    if machine.cpu_limit():
        os.environ.setdefault("OMP_NUM_THREADS", str(machine.cores()))


def _result(function: Callable[..., Result], config_path: Path | None, given: dict[str, Any]) -> Result:
    """What the command's function makes of the configuration, with what was given of it, and of the rest."""
    overrides = {key: value for key, value in given.items() if _is_key(key)}
    own = {key: value for key, value in given.items() if not _is_key(key)}
    with stdout_for_results():
        return function(files.load(config_path or _found(), **overrides), **own)


def _end(name: str, code: int, started: float, said: dict[str, str], gauges: Sequence[prometheus.Gauge] = ()) -> None:
    """Log how the job ended, and write its metrics. said: of an error, which people on a terminal have just read."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 2**10)
    seconds = round(time.monotonic() - started, 1)
    logger = log.get(name)
    facts = {} if sys.stderr.isatty() else said
    tell = logger.error if code else logger.info
    tell("finished", exit_code=code, seconds=seconds, peak_rss_mb=round(peak / 2**20), **facts)
    try:
        prometheus.write(name, exit_code=code, seconds=seconds, peak_bytes=peak, gauges=gauges)
    except CannotWrite as error:
        logger.warning("no metrics are written", reason=error.message)


def _is_key(parameter: str) -> bool:
    """Whether the parameter is a key of the configuration."""
    return "__" in parameter or parameter == "wait_seconds"


def _found() -> Path | None:
    return next((place for place in CONFIG_PLACES if place.is_file()), None)
