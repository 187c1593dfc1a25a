"""The log goes to stderr: console lines on a terminal, JSON lines elsewhere. stdout is kept for results."""

import logging
import sys

import structlog


def configure(verbose: bool = False, json_lines: bool | None = None) -> None:
    """Set structlog up once per process. `json_lines` None means: JSON unless stderr is a terminal."""
    if json_lines is None:
        json_lines = not sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if json_lines
        else structlog.dev.ConsoleRenderer(pad_event_to=24)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso" if json_lines else "%H:%M:%S", utc=json_lines),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.getLogger().setLevel(logging.WARNING)


def only_warnings() -> None:
    """From here on: for a process beside another that logs the same."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


def get(name: str) -> structlog.typing.FilteringBoundLogger:
    return structlog.get_logger(job=name)
