"""What a command prints: its result on stdout and nothing else; all other output goes to stderr.

A result is one JSON object on one line with --json (docs/json.md), otherwise text for people.
"""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from bidrec.reporting.prometheus import Gauge

if TYPE_CHECKING:
    from rich.console import RenderableType


SCHEMA_VERSION = 1
"""Of the JSON objects: raised when a key goes or changes its meaning, not when one is added."""


@dataclass(frozen=True)
class Result:
    """What a command found out, for programs and for people."""

    data: dict[str, Any] = field(default_factory=dict)
    """The JSON object; numpy numbers, dates and paths are fine, NaN becomes null."""
    text: "RenderableType" = ""
    """Text as it is, or anything rich can print (a Table, a Group)."""
    width: int = 120
    """Columns of the text where stdout is not a terminal."""
    gauges: list[Gauge] = field(default_factory=list)
    """What bidrec/reporting/prometheus.py writes of it, where that is asked for."""
    exit_code: int = 0
    """For a command that did its work and found something wrong."""
    silent: bool = False
    """Another process of the same job prints it."""


@contextlib.contextmanager
def stdout_for_results() -> Iterator[None]:
    """Send to stderr what libraries and child processes print to stdout meanwhile."""
    with contextlib.redirect_stdout(sys.stderr), _descriptor_to_stderr():
        yield


@contextlib.contextmanager
def _descriptor_to_stderr() -> Iterator[None]:
    """The same for descriptor 1, which C++ libraries and child processes write to; inert where it is closed."""
    try:
        kept = os.dup(1)
    except OSError:
        yield
        return
    try:
        if sys.__stdout__:
            sys.__stdout__.flush()
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def emit(result: Result, as_json: bool, command: str = "") -> None:
    """Print the result; a reader that has gone away (`| head`) ends it quietly."""
    if result.silent:
        return
    try:
        if as_json:
            print(_json_line({"schema_version": SCHEMA_VERSION, "command": command, **result.data}))
        elif result.text != "":
            _print_text(result.text, result.width)
        if sys.stdout:
            sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered would raise again when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _json_line(data: dict[str, Any]) -> str:
    import orjson

    return orjson.dumps(data, default=str, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS).decode()


def _print_text(text: "RenderableType", piped_width: int) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):  # a letter that a Korean terminal's EUC-KR lacks is no error
        sys.stdout.reconfigure(errors="backslashreplace")
    if isinstance(text, str):
        click.echo(text, file=sys.stdout)  # without the colours of Feast's lines where no terminal shows them
        return
    from rich.console import Console

    width = None if sys.stdout.isatty() else piped_width
    # Titles and names are not written in Rich's markup: '[e-book]' would be a style, '[/' an error.
    Console(file=sys.stdout, width=width, markup=False, emoji=False, highlight=False).print(text)
