"""The log goes to stderr: console lines on a terminal, JSON lines elsewhere. stdout is kept for results."""

import logging
import os
import sys
import warnings
from typing import Any

import structlog

from bidrec.operations.passwords import masked
from bidrec.operations.progress import BAR_SECONDS, LINE_SECONDS, Event, Progress, Screen, bar, how_far

MARKET = "BIDREC_MARKET"
"""Whose log and metrics these are, where several homes share a place for them. It is no key of the configuration,
because a job that was called wrongly ends before it has read one."""


def configure(verbose: bool = False, json_lines: bool | None = None) -> None:
    """Set structlog up once per process. `json_lines` None means: JSON unless stderr is a terminal."""
    if json_lines is None:
        json_lines = not sys.stderr.isatty()
    screen = Screen(sys.stderr)  # one for all loggers: what one draws, the next one erases
    structlog.configure(
        processors=[
            Progress(LINE_SECONDS if json_lines else BAR_SECONDS),
            _without_passwords,
            _of_the_market,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso" if json_lines else "%H:%M:%S", utc=json_lines),
            structlog.processors.JSONRenderer(ensure_ascii=False) if json_lines else _Console(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr) if json_lines else lambda *_: screen,
        cache_logger_on_first_use=False,
    )
    logging.getLogger().setLevel(logging.WARNING)
    # It warns each process of how TorchRec plans, which is of no concern to anybody who reads a log.
    logging.getLogger("torchrec.distributed.planner").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", r".torch\.distributed\.\w+. is deprecated", FutureWarning)  # TorchRec's calls
    warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)


def _without_passwords(_logger: Any, _method: str, event: Event) -> Event:
    """Whatever a library says of what it could not reach."""
    return {name: masked(value) if isinstance(value, str) else value for name, value in event.items()}


def _of_the_market(_logger: Any, _method: str, event: Event) -> Event:
    market = os.environ.get(MARKET)
    return {**event, "market": market} if market else event


class _Console:
    def __init__(self) -> None:
        self.line = structlog.dev.ConsoleRenderer(pad_event_to=24)

    def __call__(self, logger: Any, method: str, event: Event) -> str:
        return bar(event) if how_far(event) else self.line(logger, method, event)


def only_warnings() -> None:
    """From here on: for a process beside another that logs the same."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


def get(name: str) -> structlog.typing.FilteringBoundLogger:
    return structlog.wrap_logger(_Written(), job=name)


class _Written:
    """What writes a line, as configured. Within another program, Feast's commands say, structlog would take stdout."""

    def __getattr__(self, method: str) -> Any:
        if structlog.is_configured():
            return getattr(structlog.get_config()["logger_factory"](), method)
        return getattr(structlog.PrintLogger(sys.stderr), method)
